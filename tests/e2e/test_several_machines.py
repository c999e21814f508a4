"""Two machines in one bucket, each with keys of its own prefix: one is taken over, and both are restored."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rwm.errors import AccessDenied
from rwm.model import ObjectVersion
from rwm.s3 import S3
from tests import ROOT, repositories, restics
from tests.e2e.cli import Shell
from tests.e2e.test_recovery import first_on_path, shell_lines
from tests.servers import Server

PAIRS = [("seaweedfs", "restic-debian"), pytest.param("rgw", "restic-current", marks=pytest.mark.slow)]
"""Each server and each restic once."""
ADMIN = ("rwm", "-c", "admin.conf")
FS = ("rwmfs", "-c", "admin.conf")


class Machine(NamedTuple):
    """A machine that backs up to its own prefix, and what it must get back."""

    name: str
    user: str
    password: str
    shell: Shell
    files: dict[str, str]


def set_up(server: Server, bucket: str, name: str, user: str, restic: str, directory: Path) -> Machine:
    """Configure the machine and make two backups."""
    home = directory / name
    (home / "files").mkdir(parents=True)
    shell = Shell(home)
    shell.environment["PATH"] = first_on_path(restic, shell, home / "bin")
    password = f"password of {name}"
    backups = {"files": {"filesdirs": [str(home / "files")]}}
    retention = {"keep-within": "1d"}
    more = {"restic_bucket": f"{bucket}/{name}", "restic_password": password, "backups": backups}
    shell.configure("rwm.conf", server.endpoint, server.accounts[user], {**more, "retention": retention})
    repositories.create_in(server.connect(user), f"{bucket}/{name}", password)
    files = {}
    for number in range(2):
        files[f"{number}.txt"] = f"worth keeping {number} on {name}\n"
        (home / "files" / f"{number}.txt").write_text(files[f"{number}.txt"])
        report = shell.json("rwm", "backup", "--all")
        assert (report["warnings"], report["errors"], report["state"]["prefix"]) == ([], [], f"{name}/")
    return Machine(name, user, password, shell, files)


def wipe(s3: S3, bucket: str, prefix: str) -> int:
    """Overwrite and delete all that the keys reach; returns how many objects that were."""
    keys = {version.key for version in s3.versions(bucket, prefix) if version.is_latest}
    for key in keys:
        s3.put(bucket, key, b"garbage")
        s3.delete(bucket, key)
    return len(keys)


def expect_refusal(attempt: Callable[[], object]) -> None:
    with pytest.raises(AccessDenied):
        attempt()


def is_deletion_refused(s3: S3, bucket: str, version: ObjectVersion) -> bool:
    try:
        return bool(s3.delete_versions(bucket, [(version.key, version.version_id)]))
    except AccessDenied:
        return True


def expect_restored(machine: Machine, directory: Path) -> None:
    assert {path.name: path.read_text() for path in directory.rglob("*.txt")} == machine.files


@pytest.mark.parametrize(("server_name", "restic_name"), PAIRS)
def test_one_machine_is_taken_over_and_both_are_restored(
    server_name: str, restic_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Server = request.getfixturevalue(server_name)
    restic = restics.program(restic_name)
    bucket = f"shared-{uuid.uuid4().hex[:12]}"
    office = Shell(tmp_path)
    office.configure("admin.conf", server.endpoint, server.accounts["admin"])
    office(*ADMIN, "storage", "create", bucket, "user1:host1/", "user2:host2/")
    host1, host2 = (
        set_up(server, bucket, name, user, restic, tmp_path) for name, user in (("host1", "user1"), ("host2", "user2"))
    )
    assert office(*ADMIN, "state", "sync", bucket).stdout.count("verified") == 1
    last = {state["prefix"]: state["id"] for state in office.json(*ADMIN, "state", "list", bucket)}
    whole = office.json(*ADMIN, "state", "capture", bucket)["id"]
    roots = [each["prefix"] for each in office.json(*ADMIN, "state", "show", whole)["repositories"]]
    assert roots == ["host1/", "host2/"]

    attacker = server.connect("user1")
    victim = next(version for version in server.connect().versions(bucket, "host2/data/") if version.is_latest)
    assert wipe(attacker, bucket, "host1/") > 5
    for attempt in (
        lambda: list(attacker.versions(bucket, "host2/")),
        lambda: list(attacker.versions(bucket)),
        lambda: b"".join(attacker.stream(bucket, "host2/config")),
        lambda: attacker.put(bucket, "host2/config", b"garbage"),
        lambda: attacker.put(bucket, "host2/rwm/states/2027-01-01T00:00:00Z-0.jsonl.gz", b"garbage"),
        lambda: attacker.delete(bucket, victim.key),
        lambda: attacker.copy(bucket, victim.key, victim.version_id, bucket),
    ):
        expect_refusal(attempt)
    assert is_deletion_refused(attacker, bucket, victim)

    host2.shell("rwm", "restic", "check")
    host1.shell("rwm", "restic", "snapshots", code=None)
    office(*ADMIN, "state", "sync", bucket, code=None)
    after = office.json(*ADMIN, "state", "capture", bucket)["id"]
    changed = office.json(*ADMIN, "state", "diff", whole, after)
    assert all(key.startswith("host1/") for keys in changed.values() for key in keys)
    assert len(changed["removed"]) > 5

    (tmp_path / "all").mkdir()
    office(*FS, "mount", bucket, "--at", whole, "all")
    try:
        for machine in (host1, host2):
            restore(office, restic, tmp_path / "all" / machine.name, machine)
    finally:
        office("rwmfs", "umount", "all")
    (tmp_path / "repo").mkdir()
    for machine in (host1, host2):
        office(*FS, "mount", f"{bucket}/{machine.name}", "--at", last[f"{machine.name}/"], "repo")
        try:
            restore(office, restic, tmp_path / "repo", machine)
        finally:
            office("rwmfs", "umount", "repo")


def restore(office: Shell, restic: str, repository: Path, machine: Machine) -> None:
    """Check and restore the repository on a mount with plain restic."""
    target = office.directory / f"restored-{uuid.uuid4().hex}"
    for words in (("check",), ("restore", "latest", "--target", target)):
        office(restic, "-r", repository, "--no-cache", *words, RESTIC_PASSWORD=machine.password)
    expect_restored(machine, target)


@pytest.mark.slow
@pytest.mark.parametrize(("server_name", "restic_name"), [("seaweedfs", "restic-debian"), ("rgw", "restic-current")])
def test_a_prefix_with_characters_that_urls_quote(
    server_name: str, restic_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Whole-bucket keys: a grant refuses what is a wildcard in policies. Each server and each restic once."""
    name = "sites/a b/50%/hôte/x#y?z/a+b/c&d=e"
    server, restic = request.getfixturevalue(server_name), restics.program(restic_name)
    bucket = f"shared-{uuid.uuid4().hex[:12]}"
    office = Shell(tmp_path)
    office.configure("admin.conf", server.endpoint, server.accounts["admin"])
    office(*ADMIN, "storage", "create", bucket, "user1")
    machine = set_up(server, bucket, name, "user1", restic, tmp_path)
    assert all(version.key.startswith(f"{name}/") for version in server.connect().versions(bucket))
    office(*ADMIN, "state", "sync", bucket)
    (tmp_path / "repo").mkdir()
    office(*FS, "mount", f"{bucket}/{name}", "--at", "latest", "repo")
    try:
        restore(office, restic, tmp_path / "repo", machine)
    finally:
        office("rwmfs", "umount", "repo")


def test_the_guide_has_the_commands_that_tests_type() -> None:
    lines = shell_lines((ROOT / "docs" / "several-machines.md").read_text())
    for line in (
        "rwm -c admin.conf storage create bucket1 user1:host1/ user2:host2/",
        "rwm restic init",
        "rwm backup --all",
        "rwm -c admin.conf state sync bucket1",
        "rwm -c admin.conf state capture bucket1",
        "rwm -c admin.conf recover bucket1 /mnt/all",
        "restic -r /mnt/all/host1 --no-cache restore latest --target /restore/host1",
        "rwm -c admin.conf recover bucket1/host1 /mnt/repo",
        "restic -r /mnt/repo --no-cache restore latest --target /restore",
    ):
        assert line in lines
