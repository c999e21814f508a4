"""The steps of the demo. Every command is really run, and its real output is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rwm.demo.environment import RESTIC_PASSWORD
from rwm.demo.narrator import Narrator
from rwm.demo.sample_files import MIB, change_files, make_files
from rwm.errors import AccessDenied, RwmError
from rwm.model import SHORT_ID
from rwm.s3 import S3

_DELETE_CHUNK = 200
_BACKUP_LINES = r"snapshot \w+ saved|^(backup  |-+  -|data  |\()"
"""The lines of a backup that are shown."""
_SUSPEND = ("--versioning-configuration", "Status=Suspended")


def run_steps(narrator: Narrator, directory: Path, bucket: str, connect: Callable[[str], S3], size: int) -> None:
    """Run all steps on any server. ``directory`` has ``admin.conf`` and ``rwm.conf`` (user1)."""
    _protect(narrator, bucket)
    _back_up(narrator, directory, size)
    states = json.loads(narrator.run_silently("rwm", "-c", "admin.conf", "state", "list", bucket, "--json"))
    _attack(narrator, directory, bucket, connect("user1"))
    _recover(narrator, directory, bucket, states[-1])


def _protect(narrator: Narrator, bucket: str) -> None:
    narrator.step(
        "The admin creates a protected bucket", "It is versioned; the machine may write, but not remove versions."
    )
    narrator.run("rwm", "-c", "admin.conf", "storage", "create", bucket, "user1")
    narrator.run("rwm", "-c", "admin.conf", "storage", "check", bucket)


def _back_up(narrator: Narrator, directory: Path, size: int) -> None:
    narrator.step(
        "The machine backs up", "restic runs as usual, with the keys of the machine. Then RWM records the state:"
    )
    narrator.say("which version of every object is current. The state is stored in an index and in the bucket.")
    count = make_files(directory / "data", size)
    narrator.say(f"{count} files, {size / MIB:.0f} MiB, are in {directory / 'data'}")
    narrator.run("rwm", "restic", "init", only="created")
    narrator.run("rwm", "backup", "--all", only=_BACKUP_LINES)
    narrator.step("A day later, it backs up again", "Each state is kept, and any of them can be mounted or restored.")
    narrator.say(f"{change_files(directory / 'data')} files were changed, removed and added")
    narrator.run("rwm", "backup", "--all", only=_BACKUP_LINES)


def _attack(narrator: Narrator, directory: Path, bucket: str, user: S3) -> None:
    narrator.step("The attack", "An attacker has taken over the machine, its S3 keys and its restic password.")
    keys = sorted({version.key for version in user.versions(bucket) if version.is_latest and not version.is_marker})
    for key in keys[::2]:
        path = directory / "garbage" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000))
    narrator.run("rwm", "aws", "s3", "rm", "--recursive", "--quiet", f"s3://{bucket}/")
    narrator.run("rwm", "aws", "s3", "cp", "--recursive", "--quiet", "garbage/", f"s3://{bucket}/")
    narrator.bad(f"all {len(keys)} objects are deleted, and {len(keys[::2])} of them overwritten with garbage")
    narrator.say("Next, the attacker tries to delete the noncurrent versions permanently:")
    versions = [(version.key, version.version_id) for version in user.versions(bucket)]
    key, version_id = next(pair for pair in reversed(versions) if pair[0].startswith("snapshots/"))
    version = ["--bucket", bucket, "--key", key, "--version-id", version_id]
    narrator.run("rwm", "aws", "s3api", "delete-object", *version, fails=True)
    refused = _try_to_delete(user, bucket, versions)
    if refused != len(versions):
        raise RwmError(f"the demo stops: {len(versions) - refused} versions could be deleted with the user's keys")
    narrator.good(f"the same tried on every version and delete marker: {refused} of {len(versions)} refused")
    narrator.run("rwm", "aws", "s3api", "put-bucket-versioning", "--bucket", bucket, *_SUSPEND, fails=True)


def _try_to_delete(user: S3, bucket: str, versions: list[tuple[str, str]]) -> int:
    """Try to delete the versions with the keys of the user. Returns how many the server refuses."""
    refused = 0
    for start in range(0, len(versions), _DELETE_CHUNK):
        chunk = versions[start : start + _DELETE_CHUNK]
        try:
            refused += len(user.delete_versions(bucket, chunk))
        except AccessDenied:
            refused += len(chunk)
    return refused


def _recover(narrator: Narrator, directory: Path, bucket: str, state: dict[str, Any]) -> None:
    narrator.step("The repository is gone", "Without the recorded states, the backups would be lost here.")
    narrator.run("rwm", "restic", "snapshots", fails=True)
    narrator.step(
        "The admin recovers", "RWM finds what restic cannot have done, and mounts the newest state from before it."
    )
    said = narrator.run("rwm", "-c", "admin.conf", "recover", bucket, "mnt")
    if str(state["id"])[:SHORT_ID] not in said:
        raise RwmError(f"the demo stops: the state before the attack, {state['id']}, was not chosen")
    narrator.say("The mount fetches exactly the versions of that state, on demand. Nothing is copied or changed.")
    narrator.run("rwm", "-c", "admin.conf", "state", "list", bucket)
    narrator.step(
        "Plain restic restores from it",
        "To restic it is a local repository. --no-cache: it must not use what it cached of the attacked bucket.",
    )
    narrator.run("restic", "-r", "mnt", "--no-cache", "snapshots", "--compact", env=RESTIC_PASSWORD)
    narrator.run("restic", "-r", "mnt", "--no-cache", "restore", "latest", "--target", "restore", env=RESTIC_PASSWORD)
    narrator.run("diff", "--recursive", "data", f"restore{directory}/data")
    files = [path for path in (directory / "data").rglob("*") if path.is_file()]
    narrator.good(f"all {len(files)} files are restored, byte for byte")
    narrator.run("rwmfs", "umount", "mnt")
    narrator.title("\nNothing was lost. README.md explains the set-up with a real bucket.")
