"""The audit of real repositories on real servers: honest, then attacked with the machine's keys."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from rwm import process
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3
from rwm.states import capture_state
from rwm.storage import create_storage
from rwm.trust import LocationAudit, audit_location, make_report
from rwm.trust.evidence import SLACK
from tests import repositories, restics
from tests.contract.buckets import at_once, next_second, unique, versioned
from tests.servers import Server


class Machines:
    """A bucket with the repositories of two machines, and the keys that write to it."""

    def __init__(self, server: Server, restic: str, directory: Path) -> None:
        self.admin, self.user, self.bucket = server.connect(), server.connect("user1"), unique("audit")
        create_storage(self.admin, self.bucket, "user1")
        self.restic = restic
        self.environment = {**server.environment("user1"), "RESTIC_PASSWORD": "secret", "HOME": str(directory)}
        self.endpoint = server.endpoint
        self.source = directory / "source"
        self.source.mkdir()
        (self.source / "0").write_bytes(os.urandom(100_000))
        at_once(self._begin, ("host1", "host2"))
        (self.source / "1").write_bytes(os.urandom(100_000))
        self.run("host1", "backup", str(self.source))
        self.run("host1", "forget", "--keep-last", "1", "--prune")

    def _begin(self, machine: str) -> None:
        repositories.create_in(self.user, f"{self.bucket}/{machine}", "secret")
        self.run(machine, "backup", str(self.source))

    def run(self, machine: str, *words: str) -> None:
        repository = f"s3:{self.endpoint}/{self.bucket}/{machine}"
        done = process.run([self.restic, "-r", repository, *words], env=self.environment)
        assert done.returncode == 0, done.stderr

    def audit(self, prefix: str = "", s3: S3 | None = None, *, packs: bool = True) -> LocationAudit:
        return audit_location(s3 or self.admin, Location(self.bucket, prefix), packs=packs)

    def keys(self, prefix: str) -> list[str]:
        found = self.admin.versions(self.bucket, prefix)
        return sorted(entry.key for entry in found if entry.is_latest and not entry.is_marker)


ATTACKED = {"removed-config", "other-content", "foreign-name", "all-keys-removed", "last-index-removed"}


def attack(user: S3, machines: Machines) -> None:
    """Five attacks on the first machine's repository."""
    bucket = machines.bucket
    user.put(bucket, machines.keys("host1/data/")[0], b"")
    user.put(bucket, "host1/data/00/README.txt", b"pay")
    for key in ["host1/config", *machines.keys("host1/keys/"), *machines.keys("host1/index/")]:
        user.delete(bucket, key)


@restics.current_is_slow
def test_attacks_on_one_machine_are_found_and_the_other_one_stays_clean(
    server: Server, restic_program: str, tmp_path: Path
) -> None:
    machines = Machines(server, restic_program, tmp_path)
    honest = machines.audit()
    assert honest.proofs == 0, honest.findings()
    assert [audit.root for audit in honest.repositories] == ["host1/", "host2/"]
    assert honest.verdict_now() == "clean", honest.findings()
    time.sleep(2 * SLACK / 1000)  # the first snapshot is older than the attack, by as much as clocks may differ
    attack(machines.user, machines)
    audits: tuple[Callable[[], LocationAudit], ...] = (
        machines.audit,
        partial(machines.audit, "host1/"),
        partial(machines.audit, "host2/"),
        partial(machines.audit, "host1/", machines.user),
        partial(machines.audit, "host1/", machines.user, packs=False),
    )
    whole, first, second, own, quick = at_once(lambda audit: audit(), audits)  # each waits for a second to be over
    assert set(whole.counts()) >= ATTACKED
    assert {finding.root for finding in whole.findings()} == {"host1/"}
    assert first.verdict_now() == "suspect"
    assert second.verdict_now() == "clean"
    assert set(own.counts()) >= ATTACKED, "the machine's keys see it too"
    assert set(quick.counts()) >= ATTACKED - {"other-content", "foreign-name"}


@pytest.mark.slow
def test_two_audits_at_once(seaweedfs: Server, tmp_path: Path) -> None:
    """Each says the same, while restic works, and each records it in one index."""
    machines = Machines(seaweedfs, restics.program("restic-debian"), tmp_path)
    machines.audit()
    place, path = Location(machines.bucket), tmp_path / "index.sqlite"
    with Index.open(path) as index:
        state = capture_state(machines.admin, index, place).id
    next_second(machines.admin, machines.bucket)

    def work(number: int) -> int:
        if number == 0:
            machines.run("host2", "backup", str(machines.source), "--force")
            machines.run("host2", "forget", "--keep-last", "1", "--prune")
            return 0
        audit = audit_location(seaweedfs.connect(), place)
        with Index.open(path) as index:
            report = make_report(audit, index.recorded(place), index.born_later(place))
            index.audits.record(place, {item.state.info.id: item.parts for item in report.states})
        return report.open_proofs

    assert at_once(work, range(5)) == [0] * 5
    with Index.open(path) as index:
        assert [(one.info.id, one.verdict) for one in index.recorded(place)] == [(state, "clean")]


def test_many_junk_repositories_are_judged_as_each_by_itself(server: Server) -> None:
    """They are listed several at once, with one request each: the findings are those of one after the other."""
    s3 = server.connect()
    bucket = versioned(s3, "junk")
    roots = [f"host1/junk{number:02}/" for number in range(40)]
    names = ("config", "keys/x", "data/00/y", "snapshots/" + "a" * 64)
    at_once(lambda key: s3.put(bucket, key, b"1"), [root + name for root in roots for name in names])
    at_once(lambda root: s3.delete(bucket, root + "config"), roots[::3])
    next_second(s3, bucket)
    together = audit_location(s3, Location(bucket))
    assert [audit.root for audit in together.repositories] == roots
    assert together.counts()["removed-config"] == len(roots[::3])
    for found in together.repositories[::5]:
        (expected,) = audit_location(s3, Location(bucket, found.root)).repositories
        assert list(found.log.listed()) == list(expected.log.listed())
        assert found.versions == expected.versions
