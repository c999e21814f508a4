"""The steps of the demo. Whatever is shown is what really happens: every command is run, every answer is its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rwm import process
from rwm.demo import data
from rwm.demo.narrator import Narrator
from rwm.embedded import EmbeddedS3
from rwm.errors import AccessDenied, RwmError
from rwm.s3 import S3, Credentials

BUCKET = "bucket1"
_PASSWORD = "correct-horse-battery-staple"  # noqa: S105 - the demo's own repository
_CHUNK = 200


def tell(*, keep: bool = False, size: int = 240 * data.MIB) -> None:
    """Run the demo in a temporary directory; ``keep`` leaves all of it running until Ctrl-C.

    ``size`` is the amount of data in bytes. Raises RwmError when a step does not go as it must.
    """
    for program in ("restic", "aws", "fusermount3"):
        process.find(program)
    directory = Path(tempfile.mkdtemp(prefix="rwm-demo-"))
    with _interruptible(), contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        server = stack.enter_context(EmbeddedS3(directory / "s3"))
        write_configurations(directory, server.endpoint, server.credentials)
        narrator = Narrator(directory, environment(directory))
        stack.callback(_unmount, directory)
        narrator.title("RWM demo: a restic repository in S3 survives an attacker who holds all keys of the machine")
        narrator.say(f"SeaweedFS serves S3 on {server.endpoint}; everything happens in {directory}")
        perform(narrator, directory, lambda account: server.connect(account), size)
        if keep:
            _wait(narrator, directory)


def perform(narrator: Narrator, directory: Path, connect: Callable[[str], S3], size: int) -> None:
    """The story, on any server: ``admin.conf`` and ``rwm.conf`` (user1) lie in ``directory``."""
    _protect(narrator)
    _back_up(narrator, directory, size)
    states = json.loads(narrator.ask("rwm", "-c", "admin.conf", "state", "list", BUCKET, "--json"))
    _attack(narrator, directory, connect("user1"))
    _recover(narrator, directory, states[-1])


def _protect(tell: Narrator) -> None:
    tell.step("The admin makes a protected bucket", "Versioned; the machine's account may write, but never remove.")
    tell.run("rwm", "-c", "admin.conf", "storage", "create", BUCKET, "user1")
    tell.run("rwm", "-c", "admin.conf", "storage", "check", BUCKET)


def _back_up(tell: Narrator, directory: Path, size: int) -> None:
    tell.step("The machine backs up", "restic as ever, with the machine's own keys. After it, RWM records the state:")
    tell.say("which version of every object is current. The state goes into an index and into the bucket.")
    count = data.make(directory / "data", size)
    tell.say(f"{count} files, {size / data.MIB:.0f} MiB, are in {directory / 'data'}")
    tell.run("rwm", "restic", "init", only="created")
    tell.run("rwm", "backup", "--all", only=_TABLE)
    tell.step("A day later, it backs up again", "Each state is kept: any of them can be looked at again.")
    tell.say(f"{data.change(directory / 'data')} files were changed, removed and added")
    tell.run("rwm", "backup", "--all", only=_TABLE)


def _attack(tell: Narrator, directory: Path, user: S3) -> None:
    tell.step("The attack", "Somebody has taken the machine over, and so has its S3 keys and its restic password.")
    keys = sorted({version.key for version in user.versions(BUCKET) if version.is_latest and not version.is_marker})
    for key in keys[::2]:
        path = directory / "garbage" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000))
    tell.run("rwm", "aws", "s3", "rm", "--recursive", "--quiet", f"s3://{BUCKET}/")
    tell.run("rwm", "aws", "s3", "cp", "--recursive", "--quiet", "garbage/", f"s3://{BUCKET}/")
    tell.bad(f"all {len(keys)} objects are deleted, and {len(keys[::2])} of them overwritten with garbage")
    tell.say("Now the versions that are still there below, for good:")
    versions = [(version.key, version.version_id) for version in user.versions(BUCKET)]
    key, version_id = next(pair for pair in reversed(versions) if pair[0].startswith("snapshots/"))
    exact = ["--bucket", BUCKET, "--key", key, "--version-id", version_id]
    tell.run("rwm", "aws", "s3api", "delete-object", *exact, fails=True)
    refused = _try_to_delete(user, versions)
    if refused != len(versions):
        raise RwmError(f"the demo stops: {len(versions) - refused} versions could be deleted with the user's keys")
    tell.good(f"the same tried on every version and delete marker: {refused} of {len(versions)} refused")
    tell.run("rwm", "aws", "s3api", "put-bucket-versioning", "--bucket", BUCKET, *_SUSPEND, fails=True)


def _try_to_delete(user: S3, versions: list[tuple[str, str]]) -> int:
    """How many of the exact versions the server refuses to delete with the user's own keys."""
    refused = 0
    for start in range(0, len(versions), _CHUNK):
        chunk = versions[start : start + _CHUNK]
        try:
            refused += len(user.delete_versions(BUCKET, chunk))
        except AccessDenied:
            refused += len(chunk)
    return refused


def _recover(tell: Narrator, directory: Path, state: dict[str, Any]) -> None:
    tell.step("The repository is gone", "This is where most stories about backups end.")
    tell.run("rwm", "restic", "snapshots", fails=True)
    short = str(state["id"])[:12]
    tell.step("The admin mounts the state before the attack", "Two states were recorded, and the last one is good.")
    tell.run("rwm", "-c", "admin.conf", "state", "list", BUCKET)
    tell.say("The mount fetches exactly the versions of that state, on demand. Nothing is copied or changed.")
    (directory / "mnt").mkdir()
    mount = ["mount", BUCKET, "--at", short, "mnt", "--log-file", "rwmfs.log"]
    tell.run("rwmfs", "-c", "admin.conf", *mount)
    tell.step("Plain restic restores from it", "No special options: to restic it is a repository in a directory.")
    tell.run("restic", "-r", "mnt", "snapshots", "--compact", env=UNLOCK)
    tell.run("restic", "-r", "mnt", "restore", "latest", "--target", "restore", env=UNLOCK)
    tell.run("diff", "--recursive", "data", f"restore{directory}/data")
    files = [path for path in (directory / "data").rglob("*") if path.is_file()]
    tell.good(f"all {len(files)} files are back, byte for byte")
    tell.run("rwmfs", "umount", "mnt")
    tell.title("\nNothing was lost. README.md says how to set this up on a real bucket.")


_TABLE = r"snapshot \w+ saved|^(backup  |-+  -|data  |\()"
_SUSPEND = ("--versioning-configuration", "Status=Suspended")
UNLOCK = {"RESTIC_PASSWORD": _PASSWORD}


def write_configurations(directory: Path, endpoint: str, accounts: Mapping[str, Credentials]) -> None:
    """``admin.conf`` and ``rwm.conf`` (for user1) in ``directory``, private."""
    backups: dict[str, Any] = {
        "restic_bucket": BUCKET,
        "restic_password": _PASSWORD,
        "backups": {"data": {"filesdirs": [str(directory / "data")], "tags": ["demo"]}},
        "retention": {"keep-last": 10, "keep-within": "30d"},
    }
    for name, account, more in (("admin.conf", "admin", {}), ("rwm.conf", "user1", backups)):
        values = {
            "s3_endpoint_url": endpoint,
            "s3_access_key": accounts[account].access_key,
            "s3_secret_key": accounts[account].secret_key,
            "index_path": str(directory / "index" / "index.sqlite"),
            "lock_path": str(directory / "backup.lock"),
            **more,
        }
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(json.dumps(values, indent=2) + "\n")  # JSON is YAML


def environment(directory: Path) -> dict[str, str]:
    """Ours without settings for S3, restic and RWM; restic's cache lies in the demo's directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RESTIC_", "RWM_"))}
    return kept | {"RESTIC_CACHE_DIR": str(directory / "restic-cache")}


def _unmount(directory: Path) -> None:
    """In case the story ended while the mount was up."""
    if (directory / "mnt").is_mount():
        process.run([process.find("fusermount3"), "-u", "-z", str(directory / "mnt")])


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM cleans up too."""

    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(tell: Narrator, directory: Path) -> None:
    tell.title("\nEverything is left running. In another terminal:")
    tell.say(f"cd {directory}")
    for command in (
        "rwm restic snapshots                       # the machine's view: destroyed",
        f"rwm -c admin.conf state list {BUCKET}        # what was recorded",
        f"rwmfs -c admin.conf mount {BUCKET} --at latest mnt",
        f"RESTIC_PASSWORD={_PASSWORD} restic -r mnt snapshots",
        f"rwm -c admin.conf prune {BUCKET} --keep-last 1 --dry-run",
    ):
        tell.say(command)
    tell.title("\nCtrl-C here ends it and removes the directory.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()
