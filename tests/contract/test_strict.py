"""Strict machines on the real servers: backups work, and the server refuses to forget and to prune with their keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from rwm import process
from rwm.errors import AccessDenied, RwmError
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage import (
    Rights,
    apply_fix,
    check_storage,
    create_storage,
    grant_access,
    is_strict,
    passed,
    plan_fix,
    probe_storage,
)
from tests import restics
from tests.contract.buckets import unique
from tests.servers import Server

PLACES = [
    ("seaweedfs", "restic-debian"),
    *(
        pytest.param(place, marks=pytest.mark.slow)
        for place in (("seaweedfs", "restic-current"), ("rgw", "restic-debian"), ("rgw", "restic-current"))
    ),
]
SECONDS = 3
"""How long a refused restic of Debian, which would retry for minutes, may try."""


class Machine(NamedTuple):
    """A strict machine with a prefix, and its restic."""

    admin: S3
    server: Server
    bucket: str
    program: str

    def restic(self, *arguments: str, account: str = "user1", seconds: float | None = None) -> int:
        """Run restic with the keys of an account; -1 if it was stopped."""
        environment = {**os.environ, **self.server.environment(account), "RESTIC_PASSWORD": "x"}
        run = [self.program, "-q", "--no-cache", "-r", f"s3:{self.server.endpoint}/{self.bucket}/host1", *arguments]
        try:
            return process.run(run, env=environment, timeout=seconds).returncode
        except RwmError:
            return -1

    def marked(self) -> set[str]:
        """The directories of the repository in which something is deleted."""
        entries = self.admin.versions(self.bucket, "host1/")
        return {entry.key.split("/")[1] for entry in entries if entry.is_marker and entry.is_latest}

    def current(self, directory: str) -> list[str]:
        """The keys in a directory of the repository."""
        return [*self.admin.current_keys(self.bucket, f"host1/{directory}/")]


@pytest.fixture(params=PLACES, ids="-".join)
def machine(request: pytest.FixtureRequest) -> Machine:
    name, program = request.param
    server: Server = request.getfixturevalue(name)
    bucket = unique("shared")
    create_storage(server.connect(), bucket, "user1:host1", rights=Rights(strict=True))
    return Machine(server.connect(), server, bucket, restics.program(program))


def test_backup_works_and_the_server_refuses_to_forget_and_prune(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(1000))
    for arguments in (["init"], ["backup", str(tmp_path)], ["backup", "/etc/hostname"], ["check", "--read-data"]):
        assert machine.restic(*arguments) == 0, arguments
    assert machine.marked() == {"locks"}
    snapshots, packs = machine.current("snapshots"), machine.current("data")
    machine.restic("forget", "--keep-last", "1", "--group-by", "", seconds=SECONDS)
    machine.restic("unlock", "--remove-all")
    assert machine.restic("forget", "--keep-last", "1", "--group-by", "", account="admin") == 0
    machine.restic("prune", "--max-unused", "0", seconds=SECONDS)
    assert machine.restic("unlock", "--remove-all") == 0
    assert machine.marked() == {"locks", "snapshots"}
    assert len(machine.current("snapshots")) == len(snapshots) - 1, "the admin removed it"
    assert set(packs) <= set(machine.current("data"))
    assert machine.restic("check", "--read-data") == 0
    assert machine.restic("prune", "--max-unused", "0", account="admin") == 0
    assert machine.marked() == {"locks", "snapshots", "data", "index"}
    assert machine.restic("backup", "/etc/hostname") == 0
    assert machine.restic("check", "--read-data") == 0


@pytest.mark.parametrize("prefix", ["", "host1/"], ids=["whole", "prefix"])
def test_a_strict_machine_deletes_locks_alone(server: Server, prefix: str) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("shared")
    create_storage(admin, bucket, f"user1:{prefix}" if prefix else "user1", rights=Rights(strict=True))
    names = ("config", "data/00/locks", "index/a", "keys/a", "snapshots/a", "locks", "x-locks/a")
    locks = ("locks/a", "deeper/locks/a")
    for name in (*names, *locks):
        user.put(bucket, prefix + name, b"1")
    for name in names:
        with pytest.raises(AccessDenied):
            user.delete(bucket, prefix + name)
    for name in locks:
        user.delete(bucket, prefix + name)
    assert {entry.key for entry in admin.versions(bucket) if entry.is_marker} == {prefix + name for name in locks}
    assert is_strict(user, Location(bucket, prefix))
    assert check_storage(user, bucket) == []
    found = probe_storage(admin, user, Location(bucket, prefix))
    assert passed(found) == []
    assert {each.operation for each in found} >= {"DeleteObject outside of locks/", "DeleteObjects outside of locks/"}


def test_the_probe_finds_that_a_machine_is_not_strict(server: Server) -> None:
    """The policy allows what it should deny; its other statements still say what is meant."""
    admin, user, bucket = server.connect(), server.connect("user1"), unique("shared")
    create_storage(admin, bucket, "user1:host1", rights=Rights(strict=True))
    policy = admin.policy(bucket) or {}
    rest = [each for each in policy["Statement"] if not each["Sid"].endswith("DeleteDenied")]
    allowed = next(each for each in rest if each["Sid"].endswith("Objects") and each["Effect"] == "Allow")
    allowed["Action"] = [*allowed["Action"], "s3:DeleteObject"]
    admin.put_policy(bucket, {**policy, "Statement": rest})
    codes = {item.code for item in check_storage(admin, bucket)}
    assert codes == {"policy-missing-statement", "policy-extra-statement"}
    assert "DeleteObject outside of locks/" in {
        each.operation for each in passed(probe_storage(admin, user, Location(bucket, "host1/")))
    }
    apply_fix(plan_fix(admin, bucket))
    assert check_storage(admin, bucket) == []
    assert is_strict(admin, Location(bucket, "host1/"))
    assert passed(probe_storage(admin, user, Location(bucket, "host1/"))) == []


def test_versions_are_read_only_by_whom_it_is_allowed(server: Server) -> None:
    admin, user, bucket = server.connect(), server.connect("user1"), unique("shared")
    create_storage(admin, bucket, "user1:host1")
    first = user.put(bucket, "host1/key", b"1")
    user.put(bucket, "host1/key", b"2")
    with pytest.raises(AccessDenied):
        user.get(bucket, "host1/key", first)
    grant_access(admin, Location(bucket, "host1/"), "user1", rights=Rights(version_reads=True))
    assert user.get(bucket, "host1/key", first) == b"1"
    assert check_storage(user, bucket) == []
    assert passed(probe_storage(admin, user, Location(bucket, "host1/"))) == []
    assert user.delete_versions(bucket, [("host1/key", first)])[0].code == "AccessDenied"
    grant_access(admin, Location(bucket, "host1/"), "user1", rights=Rights(version_reads=False))
    with pytest.raises(AccessDenied):
        user.get(bucket, "host1/key", first)
