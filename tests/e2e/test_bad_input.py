"""Bad input: one line that names the problem, a hint, the documented exit code, and no effect."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm import console
from rwm.backup.run_lock import hold_lock
from rwm.config import Credentials
from tests import help as help_texts
from tests.contract.buckets import at_once
from tests.e2e.cli import Shell
from tests.servers import Server


@pytest.fixture
def shell(seaweedfs: Server, tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.configure("admin.conf", seaweedfs.endpoint, seaweedfs.accounts["admin"])
    (tmp_path / "mnt").mkdir()
    return shell


@pytest.fixture
def bucket(shell: Shell, seaweedfs: Server) -> str:
    """A protected bucket with one recorded state."""
    name = f"bad-{uuid.uuid4().hex[:12]}"
    shell("rwm", "-c", "admin.conf", "storage", "create", name, "user1")
    seaweedfs.connect("user1").put(name, "config", b"hello")
    shell("rwm", "-c", "admin.conf", "state", "capture", name)
    return name


def refused(shell: Shell, code: int, pattern: str, *words: str, **variables: str) -> str:
    """The command ends with ``code``, one line that matches and at most one hint; returns all of stderr."""
    done = shell(*words, code=None, **variables)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert re.search(pattern, lines[0]), done.stderr
    assert len(lines) <= 2, done.stderr
    assert all(line.startswith("  ") for line in lines[1:]), done.stderr
    return done.stderr


ADMIN = ("rwm", "-c", "admin.conf")
FS = ("rwmfs", "-c", "admin.conf")


@pytest.mark.parametrize(
    "command",
    ["storage check", "storage info", "storage delete --yes", "state capture", "prune --keep-last 1"],
)
def test_unknown_bucket(shell: Shell, command: str) -> None:
    refused(shell, 1, "no-such-bucket", *ADMIN, *command.split(), "no-such-bucket")


TAKING_A_LOCATION = (
    ("rwm", "state capture {}"),
    ("rwm", "state list {}"),
    ("rwm", "state list -b {}"),
    ("rwm", "state sync {}"),
    ("rwm", "state show latest -b {}"),
    ("rwm", "state diff latest latest -b {}"),
    ("rwm", "state export latest new.jsonl -b {}"),
    ("rwm", "state verify latest -b {}"),
    ("rwm", "state restore latest --to-dir new -b {}"),
    ("rwm", "state restore latest -b bucket1 --to-bucket {}"),
    ("rwm", "state forget latest --yes -b {}"),
    ("rwm", "state lock latest --days 1 --yes -b {}"),
    ("rwm", "audit {}"),
    ("rwm", "recover {}"),
    ("rwm", "prune {} --keep-last 1 --yes"),
    ("rwm", "prune --log {}"),
    ("rwm", "forget {} --yes"),
    ("rwm", "lock {} --yes"),
    ("rwm", "storage adopt {} user1 --yes"),
    ("rwm", "storage check {}"),
    ("rwm", "storage freeze {}"),
    ("rwm", "storage thaw {}"),
    ("rwm", "storage delete {} --yes"),
    ("rwm", "storage info {}"),
    ("rwm", "storage create {} user1"),
    ("rwm", "storage grant {} user1"),
    ("rwm", "storage revoke {} user1"),
    ("rwm", "storage_state {}"),
    ("rwm", "storage_drop_versions {}"),
    ("rwm", "storage_restore_state {} new latest"),
    ("rwmfs", "mount {} --at latest mnt"),
    ("rwmfs", "mount {} mnt"),
)
"""Program and arguments of every command that takes a bucket or a prefix; its place is in braces."""


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("bucket1//x", "'bucket1//x' is no location: empty name in its prefix"),
        ("bucket1/..", r"'bucket1/..' is no location: name is \. or \.\. in its prefix"),
        ("bucket1/rwm/states", "is no location: RWM keeps its own objects there"),
        ("", "'' is no location: it begins without a bucket name"),
        ("s3:http://user:secret@host/bucket1/host1", "a URL is no location: the server is s3_endpoint_url"),
    ],
)
def test_no_location(shell: Shell, location: str, why: str) -> None:
    # One parser for all commands: one bad location is given to each of them, the others to the first and the last.
    commands = TAKING_A_LOCATION if location == "bucket1//x" else (TAKING_A_LOCATION[0], TAKING_A_LOCATION[-1])
    for program, arguments in commands:
        words = (word.format(location) for word in arguments.split())
        text = refused(shell, 2, why, program, "-c", "admin.conf", *words)
        assert "write " in text
        assert "secret" not in text
    assert sorted(path.name for path in shell.directory.iterdir()) == ["admin.conf", "mnt"]


def test_every_command_that_takes_a_location_is_tried() -> None:
    tried = {f"{program} {arguments}".partition(" {")[0] for program, arguments in TAKING_A_LOCATION}
    for path, command, _ in help_texts.everything():
        if any(parameter.type is console.LOCATION for parameter in command.params):
            assert any(line.startswith(path) for line in tried), path


@pytest.fixture
def machines(shell: Shell, bucket: str, seaweedfs: Server) -> str:
    """A bucket with the repository of one machine below host1/, and a state of all of it."""
    s3 = seaweedfs.connect("user1")
    s3.delete(bucket, "config")
    for key in ("config", "keys/a", "data/00/b", "index/c", "snapshots/d"):
        s3.put(bucket, f"host1/{key}", b"1")
    shell(*ADMIN, "state", "capture", bucket)
    return bucket


def commands_on(location: str) -> Iterator[tuple[str, ...]]:
    """A command of each kind that takes a location."""
    yield (*ADMIN, "state", "capture", location)
    yield (*ADMIN, "state", "show", "latest", "-b", location)
    yield (*ADMIN, "state", "restore", "latest", "-b", location, "--to-dir", "new")
    yield (*ADMIN, "prune", location, "--keep-last", "1", "--yes")
    yield (*FS, "mount", location, "--at", "latest", "mnt")


@pytest.mark.parametrize("inside", ["data", "data/00", "keys", "snapshots"])
def test_a_prefix_inside_a_repository(shell: Shell, machines: str, inside: str) -> None:
    location = f"{machines}/host1/{inside}"
    before = shell.json(*ADMIN, "state", "list")
    for words in commands_on(location):
        refused(shell, 2, f"{location} is .*the repository (at )?{machines}/host1", *words)
    assert shell.json(*ADMIN, "state", "list") == before
    assert not (shell.directory / "new").exists()
    assert not (shell.directory / "mnt").is_mount()


def test_a_prefix_with_nothing_in_it(shell: Shell, machines: str) -> None:
    location = f"{machines}/nothing"
    before = shell.json(*ADMIN, "state", "list")
    for words in commands_on(location):
        refused(shell, 1, "nothing", *words)
    assert shell.json(*ADMIN, "state", "list") == before
    assert not (shell.directory / "mnt").is_mount()


def test_wrong_keys(shell: Shell, bucket: str) -> None:
    for variable, wrong in (("RWM_S3_SECRET_KEY", "wrong" * 8), ("RWM_S3_ACCESS_KEY", "NOSUCHKEY")):
        for words in (
            (*ADMIN, "storage", "list"),
            (*ADMIN, "storage", "info", bucket),
            (*ADMIN, "state", "capture", bucket),
            (*ADMIN, "prune", bucket, "--keep-last", "1", "--yes"),
            (*FS, "mount", bucket, "--at", "latest", "mnt"),
        ):
            text = refused(shell, 6, "SignatureDoesNotMatch|InvalidAccessKeyId|403", *words, **{variable: wrong})
            assert "check s3_" in text
            assert wrong * 2 not in text
    assert not (shell.directory / "mnt").is_mount()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no-such-host.invalid:80"])
def test_endpoint_that_cannot_be_reached(shell: Shell, bucket: str, endpoint: str) -> None:
    for words in (
        (*ADMIN, "storage", "check", bucket),
        (*ADMIN, "state", "capture", bucket),
        (*FS, "mount", bucket, "--at", "latest", "mnt"),
    ):
        refused(shell, 1, "no usable answer", *words, RWM_S3_ENDPOINT_URL=endpoint)
    assert not (shell.directory / "mnt").is_mount()


def test_an_endpoint_that_is_no_url(shell: Shell) -> None:
    refused(shell, 2, "127.0.0.1:8333", *ADMIN, "storage", "list", RWM_S3_ENDPOINT_URL="127.0.0.1:8333")


def test_unknown_and_ambiguous_states(shell: Shell, bucket: str) -> None:
    for n in range(17):
        (shell.directory / "more").write_text(str(n))
        shell(*ADMIN, "state", "capture", bucket, "--at", f"2020-01-01T00:00:{n:02}Z")
    ids = [state["id"] for state in shell.json(*ADMIN, "state", "list")]
    first = next(digit for digit in "0123456789abcdef" if sum(name.startswith(digit) for name in ids) > 1)
    for words in (("rwm", "-c", "admin.conf", "state", "show"), (*FS, "mount", bucket, "mnt", "--at")):
        refused(shell, 1, f"states .*begin with {first}", *words, first)
        refused(shell, 1, "begins with 00000000000000000000", *words, "0" * 20)
        refused(shell, 1, "'yesterday' is not a state", *words, "yesterday")
    refused(shell, 1, "no state of bucket other is recorded", *FS, "mount", "other", "--at", "latest", "mnt")
    refused(shell, 1, r"at or before 2019-12-31", *FS, "mount", bucket, "--at", "2019-12-31", "mnt")


def test_mountpoint_missing_or_busy(shell: Shell, bucket: str) -> None:
    refused(shell, 1, "nowhere", *FS, "mount", bucket, "--at", "latest", "nowhere")
    refused(shell, 1, "admin.conf", *FS, "mount", bucket, "--at", "latest", "admin.conf")
    shell(*FS, "mount", bucket, "--at", "latest", "mnt")
    try:
        refused(shell, 1, "mnt", *FS, "mount", bucket, "--at", "latest", "mnt")
        with (shell.directory / "mnt" / "config").open():
            refused(shell, 1, "mnt.*(busy|in use)", "rwmfs", "umount", "mnt")
    finally:
        shell("rwmfs", "umount", "mnt")
    refused(shell, 1, "nothing is mounted at .*mnt", "rwmfs", "umount", "mnt")


def test_bucket_without_versioning(shell: Shell) -> None:
    name = f"plain-{uuid.uuid4().hex[:12]}"
    shell(*ADMIN, "aws", "s3", "mb", f"s3://{name}")
    refused(shell, 5, f"bucket {name} has no versioning", *ADMIN, "state", "capture", name)
    assert shell.json(*ADMIN, "state", "list", name) == []
    drift = shell.json(*ADMIN, "storage", "check", name, code=4)
    assert drift["ok"] is False
    assert {item["code"] for item in drift["drift"]} == {"versioning", "policy-missing"}


def test_index_from_a_newer_version_or_damaged(shell: Shell, bucket: str) -> None:
    path = shell.directory / "index" / "index.sqlite"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('rwm-index', 'm999')")
    connection.close()
    for words in (
        (*ADMIN, "state", "list"),
        (*ADMIN, "state", "capture", bucket),
        (*FS, "mount", bucket, "--at", "latest", "mnt"),
    ):
        text = refused(shell, 1, "newer version of RWM", *words)
        assert "update RWM" in text
    path.write_bytes(b"garbage " * 1000)
    refused(shell, 1, "index.sqlite", *ADMIN, "state", "list")
    assert path.read_bytes().startswith(b"garbage")


def test_configuration_with_a_typo_missing_or_empty(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "typo.conf").write_text("s3_acess_key: a-secret-value\n")
    (tmp_path / "typo.conf").chmod(0o600)
    text = refused(shell, 2, r"typo\.conf.*s3_acess_key: unknown key", "rwm", "-c", "typo.conf", "storage", "list")
    assert "a-secret-value" not in text
    refused(shell, 2, "missing.conf.*No such file", "rwm", "-c", "missing.conf", "storage", "list")
    refused(shell, 2, "does not set s3_endpoint_url", "rwm", "storage", "list")
    (tmp_path / "bad.conf").write_text("a: [1\n")
    (tmp_path / "bad.conf").chmod(0o600)
    refused(shell, 2, r"bad\.conf: line 2.*not valid YAML", "rwm", "-c", "bad.conf", "storage", "list")
    (tmp_path / "bad.conf").write_text("restic_bucket: s3:http://host/bucket1/host1\n")
    pattern = r"bad\.conf: restic_bucket: a URL is no location: the server is s3_endpoint_url; write bucket1/host1$"
    refused(shell, 2, pattern, "rwm", "-c", "bad.conf", "restic", "snapshots")


def test_restic_missing(machine: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words in (("rwm", "restic", "snapshots"), ("rwm", "backup", "--all")):
        text = refused(machine, 1, "restic", *words, PATH=str(tmp_path / "empty"))
        assert "install" in text


@pytest.fixture
def machine(shell: Shell) -> Shell:
    """A shell with the configuration of a machine whose server is unreachable."""
    more = {"restic_bucket": "b", "restic_password": "p", "backups": {"etc": {"filesdirs": ["/etc"]}}}
    shell.configure("rwm.conf", "http://127.0.0.1:9", Credentials("key", "secret"), more)
    return shell


def test_a_second_backup_at_once_is_refused(machine: Shell, tmp_path: Path) -> None:
    with hold_lock(tmp_path / "backup.lock"):
        refused(machine, 7, "another run holds the lock .*backup.lock", "rwm", "backup", "--all")


def test_backups_that_are_not_configured(machine: Shell) -> None:
    text = refused(machine, 2, "unknown backup: home is not in", "rwm", "backup", "home")
    assert "etc" in text
    refused(machine, 2, "name the backups to run, or use --all", "rwm", "backup")


def test_nothing_destructive_without_a_terminal_or_yes(shell: Shell, bucket: str) -> None:
    assert "--yes" in refused(shell, 2, "no terminal to ask for confirmation", *ADMIN, "storage", "delete", bucket)
    assert shell.json(*ADMIN, "storage", "info", bucket)["objects"] == 2


def test_invalid_options(shell: Shell, bucket: str) -> None:
    refused(shell, 2, "which states to keep", *ADMIN, "prune", bucket)
    refused(shell, 2, "invalid duration 'soon'", *ADMIN, "prune", bucket, "--keep-last", "1", "--min-age", "soon")
    refused(shell, 2, "invalid time 'yesterday'", *ADMIN, "state", "capture", bucket, "--at", "yesterday")
    refused(shell, 2, "is not over", *ADMIN, "state", "capture", bucket, "--at", "2999-01-01")
    refused(shell, 2, "exactly one target is needed", *ADMIN, "state", "restore", "latest", "-b", bucket)
    refused(shell, 2, "latest needs a bucket", *ADMIN, "state", "show", "latest")
    refused(shell, 5, "not empty", *ADMIN, "state", "restore", "latest", "-b", bucket, "--to-dir", ".")


def test_an_index_on_a_full_disk(shell: Shell, bucket: str, seaweedfs: Server) -> None:
    """A capture without disk space fails, and the index is unchanged."""
    small = shell.directory / "small"
    small.mkdir()
    shell("mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", "small")
    try:
        values = json.loads((shell.directory / "admin.conf").read_text()) | {"index_path": str(small / "i.sqlite")}
        (shell.directory / "admin.conf").write_text(json.dumps(values))
        shell(*ADMIN, "state", "capture", bucket)
        # Room for what SQLite needs to read (32 KiB of shared memory), not for what a capture writes.
        (small / "filler").write_bytes(b"x" * (shutil.disk_usage(small).free - 48 * 1024))
        before = shell.json(*ADMIN, "state", "list")
        s3 = seaweedfs.connect("user1")
        at_once(lambda number: s3.put(bucket, f"{number:0200}", b""), range(200))
        text = refused(shell, 1, "index .*(full|disk I/O)", *ADMIN, "state", "capture", bucket)
        assert "make room" in text
        (small / "filler").unlink()
        assert shell.json(*ADMIN, "state", "list") == before
        assert shell.json(*ADMIN, "state", "capture", bucket)["objects"] == 201
    finally:
        shell("umount", "small")
