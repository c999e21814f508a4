"""Records of locks in the bucket: what another computer of the admin knows by them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.lock import LockPlan, LockRecords, LockTiming, lock_and_record, plan_state_lock
from rwm.model import OperationChange, Retention, RetentionChange, StateInfo
from rwm.operations import list_records, open_stored, trusted_locks
from rwm.prune import PrunePlan, plan_prune
from rwm.statefile import file_key
from rwm.states import capture_state, list_state_files, sync_states
from rwm.times import DAY, SECOND, iso
from rwm.trust import AuditSettings, add_lock_findings, audit_location
from tests.unit.memory import MemoryS3
from tests.unit.rwm.trust.memory_bucket import load, with_backups
from tests.unit.states import put

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
FAR = 3000 * DAY
RETENTION = Retention("governance", 7000 * DAY)


class Computers:
    """Two computers of the admin. The first one locks; the second has synced the states."""

    def __init__(self, directory: Path) -> None:
        self.s3 = MemoryS3(BUCKET)
        bucket, _ = with_backups("")
        load(self.s3, bucket, bucket.now + DAY)
        self.s3.account = self.s3.owner
        self.s3.object_lock = True
        self.first = Index.open(directory / "1" / "index.sqlite")
        self.reader = Index.open(directory / "1" / "index.sqlite", readonly=True)
        self.second = Index.open(directory / "2" / "index.sqlite")
        self.s3.now += DAY
        self.info = capture_state(self.s3, self.first, LOCATION)
        files = list_state_files(self.s3, LOCATION)
        sync_states(self.s3, self.second, LOCATION, files, files)
        self.s3.now += DAY

    def lock(self, plan: LockPlan, *, is_one_state: bool = False) -> None:
        lock_and_record(self.s3, self.first, plan, (), plan.cost().due, is_one_state=is_one_state)

    def lock_state(self) -> None:
        self.until = self.s3.now + FAR
        plan = plan_state_lock(self.reader, self.info, "governance", self.until, self.s3.now)
        self.lock(plan, is_one_state=True)

    def hints(self, *, is_protected: bool = True) -> set[str]:
        """What an audit of the second computer says of locks."""
        found = audit_location(self.s3, LOCATION, AuditSettings(samples_locks=True))
        records = LockRecords(self.second, BUCKET, trusted_locks(self.s3, BUCKET, lambda: is_protected))
        add_lock_findings(self.s3, found, records.of, is_recorded=self.second.retentions.has_any(BUCKET))
        return {finding.rule.code for finding in found.findings() if finding.rule.code.endswith("-lock")}


@pytest.fixture
def computers(tmp_path: Path) -> Iterator[Computers]:
    found = Computers(tmp_path)
    yield found
    for index in (found.first, found.reader, found.second):
        index.close()


def test_a_record_says_which_states_are_locked_until_when_and_how_many_versions(computers: Computers) -> None:
    computers.lock_state()
    (record,) = list_records(computers.s3, BUCKET)
    with open_stored(computers.s3, BUCKET, record) as opened:
        (change,) = opened.changes()
    assert (record.kind, opened.operation.ended_at is not None) == ("state-lock", True)
    assert f"{computers.info.objects} versions" in opened.operation.note and "governance" in opened.operation.note
    assert (change.did, change.why) == ("locked", "governance") and computers.info.id in change.key
    assert change.at <= computers.s3.now + FAR <= change.until + DAY


def test_locks_of_another_computer_are_not_foreign(computers: Computers) -> None:
    computers.lock_state()
    assert computers.hints() == set()
    assert computers.hints(is_protected=False) == {"foreign-lock"}


def test_a_lock_beyond_the_record_is_foreign(computers: Computers) -> None:
    computers.lock_state()
    pair = next(iter(computers.s3.retentions))
    computers.s3.retentions[pair] = Retention("governance", computers.s3.now + FAR + 30 * DAY)
    assert computers.hints() == {"foreign-lock"}


def test_a_lock_that_was_taken_away_is_found_by_another_computer(computers: Computers) -> None:
    computers.lock_state()
    computers.s3.retentions.clear()
    assert computers.hints() == {"shortened-lock"}


def test_what_was_not_locked_of_all_versions_promises_nothing(computers: Computers) -> None:
    plan = plan_state_lock(computers.reader, computers.info, "governance", computers.s3.now + FAR, computers.s3.now)
    due = next(each.change for each in plan.due() if each.change.key.startswith("data/"))
    computers.s3.remove(BUCKET, due.key, due.version_id)
    computers.lock(plan)
    assert computers.s3.retentions
    computers.s3.retentions.clear()
    assert computers.hints() == set()


def test_rules_extend_locks_beyond_what_is_needed_and_the_record_allows_it(computers: Computers) -> None:
    def run(kept_until: int) -> None:
        timing = LockTiming(computers.s3.now, 20 * DAY, 400 * DAY)
        computers.lock(LockPlan(computers.reader, LOCATION, "governance", timing, {computers.info.id: kept_until}))

    run(computers.s3.now + FAR)
    computers.s3.now += 390 * DAY
    run(computers.s3.now + FAR)
    assert max(found.until for found in computers.s3.retentions.values()) > computers.s3.now + FAR + 2 * SECOND
    assert computers.hints() == set()


def test_a_state_that_the_index_does_not_know_explains_nothing(computers: Computers) -> None:
    computers.lock_state()
    states: list[StateInfo] = computers.second.states()
    computers.second.forget(states)
    assert computers.hints() == {"foreign-lock"}


def test_a_prune_knows_the_state_that_another_computer_has_locked(computers: Computers) -> None:
    """Without its record the plan would give up the state, and the server would refuse every deletion."""
    computers.lock_state()
    packs = [entry.key for entry in computers.second.entries(computers.info) if entry.key.startswith("data/")]
    for key in packs:
        computers.s3.delete(BUCKET, key)
    computers.s3.now += DAY
    newest = capture_state(computers.s3, computers.second, LOCATION)
    computers.s3.now += DAY

    def plan(*, is_protected: bool) -> PrunePlan:
        locked = trusted_locks(computers.s3, BUCKET, lambda: is_protected)
        return plan_prune(computers.s3, computers.second, LOCATION, [newest], locked_states=locked)

    assert plan(is_protected=False).lost_states == (computers.info,)
    found = plan(is_protected=True)
    assert (found.lost_states, found.locked) == ((), len(packs))


def test_the_lock_of_a_prefix_says_nothing_of_another_prefix(tmp_path: Path) -> None:
    """The states of all prefixes of a bucket share the rows of the index."""
    s3, locked_until = MemoryS3(BUCKET), 5000 * DAY
    for key in ("a/x", "b/x"):
        s3.put(BUCKET, key, b"1")
    s3.now += DAY
    with Index.open(tmp_path / "index.sqlite") as index:
        capture_state(s3, index, LOCATION)
        s3.now += DAY
        info = capture_state(s3, index, Location(BUCKET, "a/"))
        change = OperationChange("locked", file_key(info), "", at=locked_until, until=locked_until + DAY)
        records = LockRecords(index, BUCKET, [change])
        known = {each.key: records.known_until(each.key, each.version_id) for each in index.entries(info)}
        assert known == {"a/x": locked_until}
        other = next(each for each in s3.versions(BUCKET) if each.key == "b/x")
        assert records.known_until(other.key, other.version_id) == 0


def test_two_locked_states_of_one_second(tmp_path: Path) -> None:
    """The newest records are read first, so the later of them may come first."""
    with Index.open(tmp_path / "index.sqlite") as index:
        states = [put(index, 5, {"a": version}, BUCKET) for version in ("v1", "v2", "v3")]
        locked = [
            OperationChange("locked", file_key(info), "", at=at * DAY, until=at * DAY)
            for info, at in zip(states, (5000, 6000, 4000), strict=True)
        ]
        for changes in permutations(locked):
            records = LockRecords(index, BUCKET, changes)
            found = [records.known_until("a", version) for version in ("v1", "v2", "v3")]
            assert found == [5000 * DAY, 6000 * DAY, 4000 * DAY]


@pytest.mark.parametrize(("states", "questions"), [(False, 1), (True, 2)])
def test_a_version_costs_the_index_one_question_and_one_more_with_locked_states(
    tmp_path: Path, states: bool, questions: int
) -> None:
    """A prune asks about each version that it would delete: the bucket and the directory are looked up once."""
    s3 = MemoryS3(BUCKET)
    for n in range(40):
        s3.put(BUCKET, f"a/{n % 2}/{n:02}", b"1")
    s3.now += DAY
    with Index.open(tmp_path / "index.sqlite") as index:
        info = capture_state(s3, index, LOCATION)
        change = OperationChange("locked", file_key(info), "", at=5000 * DAY, until=5001 * DAY)
        records = LockRecords(index, BUCKET, [change] if states else [])
        versions = list(index.entries(info))
        index.retentions.record(BUCKET, [RetentionChange(versions[1].key, versions[1].version_id, RETENTION)])
        index.retentions.record_found(BUCKET, [(versions[2].key, versions[2].version_id, 6000 * DAY)], s3.now)
        asked: list[str] = []
        index._connection.set_trace_callback(asked.append)
        known = [records.known_until(each.key, each.version_id) for each in versions]
        index._connection.set_trace_callback(None)
    least = 5000 * DAY if states else 0
    assert known == [least, 7000 * DAY, 6000 * DAY, *[least] * 37]
    assert len(asked) <= len(versions) * questions + 10


class TestLockedStateThatTheIndexDoesNotHave:
    """Another computer has captured and locked a state, and its packs were removed since."""

    @pytest.fixture
    def locked(self, computers: Computers) -> StateInfo:
        info = computers.info = capture_state(computers.s3, computers.first, LOCATION)
        computers.lock_state()
        for entry in computers.first.entries(info):
            if entry.key.startswith("data/"):
                computers.s3.delete(BUCKET, entry.key)
        computers.s3.now += DAY
        capture_state(computers.s3, computers.second, LOCATION)
        computers.second.forget([state for state in computers.second.states() if state.captured_at < info.captured_at])
        computers.s3.now += DAY
        return info

    def plan(self, computers: Computers, location: Location = LOCATION) -> PrunePlan:
        newest = computers.second.states()[-1:]
        locked = trusted_locks(computers.s3, BUCKET, lambda: True)
        return plan_prune(computers.s3, computers.second, location, newest, locked_states=locked)

    def test_the_prune_is_refused_until_it_is_fetched(self, computers: Computers, locked: StateInfo) -> None:
        until = iso(computers.until // SECOND * SECOND)
        (finding,) = self.plan(computers).bucket_findings
        assert finding == (
            f"state {locked.id[:12]} ({iso(locked.captured_at)}) was locked until {until} by another computer and is "
            f"not in this index: `rwm state sync {BUCKET}` fetches it"
        )
        files = list_state_files(computers.s3, LOCATION)
        sync_states(computers.s3, computers.second, LOCATION, files, files)
        found = self.plan(computers)
        assert (found.bucket_findings, found.lost_states) == ((), ())
        assert found.locked == sum(entry.key.startswith("data/") for entry in computers.second.entries(locked))

    def test_several_are_one_line(self, computers: Computers, locked: StateInfo) -> None:
        computers.info = capture_state(computers.s3, computers.first, LOCATION)
        computers.lock_state()
        until = iso(computers.until // SECOND * SECOND)
        assert self.plan(computers).bucket_findings == (
            f"2 states were locked, the longest until {until}, by another computer and are not "
            f"in this index, the oldest is {locked.id[:12]} ({iso(locked.captured_at)}): `rwm state sync {BUCKET}` "
            "fetches them",
        )

    def test_what_was_forgotten_here_does_not_count(self, computers: Computers, locked: StateInfo) -> None:
        files = list_state_files(computers.s3, LOCATION)
        sync_states(computers.s3, computers.second, LOCATION, files, files)
        computers.second.forget([locked])
        assert self.plan(computers).bucket_findings == ()

    def test_a_lock_that_has_ended_does_not_count(self, computers: Computers, locked: StateInfo) -> None:
        computers.s3.now += FAR
        assert self.plan(computers).bucket_findings == ()

    def test_the_lock_of_another_prefix_does_not_count(self, computers: Computers, locked: StateInfo) -> None:
        change = OperationChange("locked", f"host2/{file_key(locked)}", "", at=computers.until)
        for prefix, count in (("host1/", 0), ("host2/", 1), ("host2/inner/", 1), ("", 1)):
            plan = plan_prune(computers.s3, computers.second, Location(BUCKET, prefix), [], locked_states=[change])
            assert len(plan.bucket_findings) == count
