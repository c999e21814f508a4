"""Prune and restore of two repositories in one bucket: restic reads every kept state of each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm import process, prune, retention
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.restore import StatePart, restore_to_bucket, restore_to_directory
from rwm.s3 import S3
from rwm.states.capture import capture_state
from rwm.storage import create_storage
from tests import repositories, restics
from tests.contract.buckets import unique
from tests.keeping import keep_last
from tests.servers import Server


class Machines:
    """Two machines that back up to host1/ and host2/ of one bucket, and the states that were captured."""

    def __init__(self, server: Server, index: Index, directory: Path) -> None:
        self.server = server
        self.s3: S3 = server.connect()
        self.index = index
        self.bucket = unique("machines")
        self.directory = directory
        self.whole, self.host1, self.host2 = (Location(self.bucket, prefix) for prefix in ("", "host1/", "host2/"))
        create_storage(self.s3, self.bucket, "user1")

    def restic(self, place: Location, *arguments: str, account: str = "user1") -> None:
        environment = self.server.environment(account) | {"RESTIC_PASSWORD": "x"}
        repository = f"s3:{self.server.endpoint}/{place}"
        done = process.run(["restic", "-q", "-r", repository, *arguments], env=environment)
        assert done.returncode == 0, done.stderr

    def back_up(self, place: Location, number: int, *, forget: bool = False) -> None:
        data = self.directory / place.prefix / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "file").write_bytes(random.Random(f"{place}{number}").randbytes(50_000))
        self.restic(place, "backup", str(data))
        if forget:
            self.restic(place, "forget", "--keep-last", "1", "--prune", "--max-unused", "0")

    def capture(self, place: Location) -> StateInfo:
        return capture_state(self.s3, self.index, place)

    def check(self, program: str, info: StateInfo, place: Location) -> None:
        """Restore the part of a state at a location: restic must find a whole repository with a snapshot."""
        directory = self.directory / f"{info.id[:12]}-{place.prefix.rstrip('/')}-{program}"
        result = restore_to_directory(self.s3, StatePart(self.index, info, place.prefix), directory)
        assert result.failures == [] and result.objects
        environment = {"RESTIC_PASSWORD": "x", "PATH": "/usr/local/bin:/usr/bin:/bin"}
        command = [restics.program(program), "-r", str(directory), "--no-cache", "check", "--read-data"]
        done = process.run(command, env=environment, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert any((directory / "snapshots").iterdir())

    def listed(self, prefix: str = "") -> dict[str, str]:
        """The current listing: version id by key."""
        versions = self.s3.versions(self.bucket, prefix)
        return {entry.key: entry.version_id for entry in versions if entry.is_latest and not entry.is_marker}


@pytest.fixture
def machines(server: Server, tmp_path: Path) -> Iterator[Machines]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield Machines(server, index, tmp_path)


def test_restic_reads_every_kept_state_of_each_repository(machines: Machines) -> None:
    whole, host1, host2 = machines.whole, machines.host1, machines.host2
    for place in (host1, host2):
        repositories.create_in(machines.server.connect("user1"), str(place), "x")
        machines.back_up(place, 1)
    first = machines.capture(host1)
    machines.capture(host2)
    machines.back_up(host1, 2, forget=True)
    both = machines.capture(whole)
    machines.back_up(host1, 3, forget=True)
    machines.back_up(host2, 3)
    newest = [machines.capture(host1), machines.capture(host2)]
    files = {entry.key for entry in machines.s3.versions(machines.bucket) if "rwm/states/" in entry.key}
    assert {key.partition("rwm/")[0] for key in files} == {"", "host1/", "host2/"}

    keep = retention.select_kept_states(machines.index, whole, keep_last(1), [])
    assert keep == [both, *newest]
    plan = prune.plan_prune(machines.s3, machines.index, whole, keep)
    assert (plan.refused, plan.findings) == ((), ())
    assert first in plan.lost_states
    assert any(version.key.startswith("host1/data/") for version in plan.versions)
    present = machines.listed()
    result = prune.prune_and_forget(machines.s3, machines.index, plan)
    assert (result.failures, result.versions) == ((), len(plan.versions))

    assert machines.listed() == present
    assert present.keys() >= files
    machines.check("restic-debian", both, host1)
    machines.check("restic-current", both, host2)
    machines.check("restic-current", newest[0], host1)
    machines.check("restic-debian", newest[1], host2)
    again = prune.plan_prune(machines.s3, machines.index, whole, keep)
    assert not again.versions and not again.markers

    target = Location(machines.bucket, "copy/")
    copied = restore_to_bucket(machines.s3, StatePart(machines.index, both, "host1/"), target)
    assert copied.failures == []
    machines.restic(target, "check", "--no-lock", account="admin")
