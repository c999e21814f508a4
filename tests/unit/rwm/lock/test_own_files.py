"""RWM's own files are locked with the states that are: without them the bucket alone does not tell the states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rwm.errors import Unreachable
from rwm.index import Index
from rwm.layout import OPERATIONS_PREFIX, STATES_PREFIX
from rwm.location import Location
from rwm.lock import LockPlan, LockResult, LockTiming, lock_and_record, plan_own_locks
from rwm.model import Retention, StateInfo
from rwm.operations import begin_operation, list_records, new_operation
from rwm.statefile import parse_file_key
from rwm.states import capture_state
from rwm.times import DAY, SECOND
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
STEP = 10 * DAY


class Place:
    """A bucket with Object Lock, many objects and a state for each of a few changes: a full file and deltas upon it."""

    def __init__(self, directory: Path) -> None:
        self.s3 = MemoryS3(BUCKET)
        self.s3.account = self.s3.owner
        self.s3.object_lock = True
        self.index = Index.open(directory / "index.sqlite")
        self.reader = Index.open(directory / "index.sqlite", readonly=True)
        for number in range(300):
            self.s3.put(BUCKET, f"data/{number}", b"1")
        self.states = [self.capture() for _ in range(3)]

    def capture(self, location: Location = LOCATION) -> StateInfo:
        self.s3.put(BUCKET, f"{location.prefix}notes", b"1")
        self.s3.now += 2 * SECOND
        return capture_state(self.s3, self.index, location)

    def plan(self, kept_until: Mapping[str, int]) -> LockPlan:
        return LockPlan(self.reader, LOCATION, "governance", LockTiming(self.s3.now, DAY, STEP), kept_until)

    def lock(self, kept_until: Mapping[str, int]) -> LockResult:
        plan = self.plan(kept_until)
        own = plan_own_locks(self.s3, self.reader, plan)
        return lock_and_record(self.s3, self.index, plan, own, plan.cost().due)

    def locked(self, prefix: str = STATES_PREFIX) -> dict[str, int]:
        """Until when files are locked: state files by the id of the state, others by key."""
        found = {}
        for (key, _), retention in self.s3.retentions.items():
            if key.startswith(prefix):
                name = parse_file_key(key)
                found[name.id if name else key] = retention.until
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.reader.close()
    place.index.close()


def test_the_file_of_a_state_and_those_that_it_builds_upon_are_locked_as_long_as_the_state(place: Place) -> None:
    ids = [info.id for info in place.states]
    assert [place.index.ledger.stored_file(info).base for info in place.states] == [None, *ids[:2]]  # type: ignore[union-attr]
    until = place.s3.now + 30 * DAY
    assert place.lock({ids[1]: until}).failed == 0
    locked = place.locked()
    assert locked.keys() == {*ids[:2]}
    assert until <= locked[ids[1]] <= locked[ids[0]] <= until + 3 * STEP


def test_what_a_state_builds_upon_is_read_from_its_file_when_the_index_has_forgotten_it(place: Place) -> None:
    ids = [info.id for info in place.states]
    place.index.forget(place.states[:2])
    place.lock({ids[2]: place.s3.now + 30 * DAY})
    assert place.locked().keys() == {*ids}


def test_a_second_run_sends_no_request_and_later_ones_only_extend(place: Place) -> None:
    state = place.states[2].id
    place.lock({state: place.s3.now + 30 * DAY})
    before = place.locked()
    assert plan_own_locks(place.s3, place.reader, place.plan({state: place.s3.now + 30 * DAY})) == []
    place.s3.now += 20 * DAY
    place.lock({state: place.s3.now + 30 * DAY})
    after = place.locked()
    assert after.keys() == before.keys() and all(after[each] > before[each] for each in before)


def test_daily_runs_cost_a_tenth_of_one_request_for_each_file_and_day(place: Place) -> None:
    state = place.states[2].id
    place.lock({state: place.s3.now + 30 * DAY})
    requests = 0
    for _ in range(110):
        place.s3.now += DAY
        due = plan_own_locks(place.s3, place.reader, place.plan({state: place.s3.now + 30 * DAY}))
        requests += sum(lock.change.key.startswith(STATES_PREFIX) for lock in due)
        place.lock({state: place.s3.now + 30 * DAY})
    assert requests <= 3 * 110 / 10


def test_the_first_versions_of_a_file_that_was_overwritten_are_locked(place: Place) -> None:
    key = next(key for key in place.s3.present(BUCKET) if place.states[0].id in key)
    first = place.s3.present(BUCKET)[key]
    for _ in range(20):
        place.s3.put(BUCKET, key, b"forged")
    place.s3.delete(BUCKET, key)
    place.lock({place.states[0].id: place.s3.now + DAY})
    versions = [version for locked, version in place.s3.retentions if locked == key]
    assert first in versions and len(versions) == 8


def test_states_of_a_prefix_have_their_files_there(place: Place) -> None:
    info = place.capture(Location(BUCKET, "host1/"))
    place.lock({info.id: place.s3.now + DAY})
    assert place.locked("host1/rwm/states/").keys() == {info.id}


def test_a_forged_file_in_the_chain_ends_it(place: Place) -> None:
    ids = [info.id for info in place.states]
    place.index.forget(place.states[:2])
    key = next(key for key in place.s3.present(BUCKET) if ids[1] in key)
    place.s3.remove(BUCKET, key, place.s3.present(BUCKET)[key])
    place.s3.put(BUCKET, key, b"junk")
    assert place.lock({ids[2]: place.s3.now + DAY}).failed == 0
    assert place.locked().keys() == {*ids[1:]}


def test_a_file_in_the_chain_that_cannot_be_read_now_is_not_left_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [info.id for info in place.states]
    place.index.forget(place.states[:2])

    def fail(*_: object) -> None:
        raise Unreachable("no answer")

    monkeypatch.setattr(place.s3, "stream", fail)
    with pytest.raises(Unreachable):
        place.lock({ids[2]: place.s3.now + DAY})


def test_records_that_an_audit_reads_are_locked_and_of_locks_the_newest(place: Place) -> None:
    for kind in ("roll-back", "prune"):
        operation = new_operation(place.s3, kind, LOCATION)
        with begin_operation(place.s3, place.index, operation):
            pass
    for days in (30, 60):
        place.lock({place.states[0].id: place.s3.now + days * DAY})
    locked = place.locked(OPERATIONS_PREFIX)
    records = [record for record in list_records(place.s3, BUCKET) if record.key in locked]
    assert sorted(record.kind for record in records) == ["lock", "lock", "roll-back"]
    newest = [record.key for record in records if record.kind == "lock"][-1]
    assert locked[newest] >= place.s3.now + 59 * DAY


def test_records_are_locked_as_long_as_the_state_that_is_kept_longest(place: Place) -> None:
    with begin_operation(place.s3, place.index, new_operation(place.s3, "roll-back", LOCATION)):
        pass
    now = place.s3.now
    place.lock({info.id: now + days * DAY for info, days in zip(place.states, (5, 90, 5), strict=True)})
    assert min(place.locked(OPERATIONS_PREFIX).values()) >= now + 90 * DAY


def test_the_lock_of_a_file_that_several_states_build_upon_is_only_extended(place: Place) -> None:
    now = place.s3.now
    until = {info.id: now + days * DAY for info, days in zip(place.states, (30, 90, 60), strict=True)}
    planned: dict[str, list[int]] = {}
    for lock in plan_own_locks(place.s3, place.reader, place.plan(until)):
        planned.setdefault(lock.change.key, []).append(lock.change.retention.until)
    assert len(planned) == len(place.states)
    assert all(each == sorted(set(each)) and len(each) <= 2 for each in planned.values())
    assert all(each[-1] >= now + 60 * DAY for each in planned.values())


def test_a_run_that_has_nothing_to_do_writes_no_record(place: Place) -> None:
    state = place.states[2].id
    until = place.s3.now + 30 * DAY
    place.lock({state: until})
    records = len(list_records(place.s3, BUCKET))
    assert place.lock({state: until}) == LockResult()
    assert len(list_records(place.s3, BUCKET)) == records


def test_locks_of_the_other_mode_are_extended_in_it(place: Place) -> None:
    key = next(key for key in place.s3.present(BUCKET) if place.states[0].id in key)
    pair = key, place.s3.present(BUCKET)[key]
    place.s3.retentions[pair] = Retention("compliance", place.s3.now + DAY)
    assert place.lock({place.states[0].id: place.s3.now + 30 * DAY}).failed == 0
    assert place.s3.retentions[pair].mode == "compliance"
