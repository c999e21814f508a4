"""Plans of locks and their execution, in memory: what is locked until when, resumed runs, failures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.errors import AccessDenied, NotFound, Unreachable
from rwm.index import Index
from rwm.location import Location
from rwm.lock import LockPlan, LockResult, LockTiming, plan_locks, plan_state_lock, set_locks
from rwm.lock.execute import BATCH
from rwm.model import Retention, StateInfo
from rwm.states import capture_state
from rwm.times import DAY, SECOND
from rwm.trust import audit_location
from tests.keeping import keep_last
from tests.unit.memory import MemoryS3
from tests.unit.rwm.verify.verify_setup import named

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
CONTENTS = {
    "config": b"c" * 155,
    **{named(kind, kind.encode()): kind.encode() for kind in ("keys", "data", "index", "snapshots")},
}


class Place:
    """A bucket and two connections to an index: plans are read through one, and what is locked is recorded by the
    other."""

    def __init__(self, directory: Path) -> None:
        self.s3 = MemoryS3(BUCKET)
        self.s3.sleep = lambda seconds: None
        self.s3.object_lock = True
        self.s3.retry_seconds = 0
        self.index = Index.open(directory / "index.sqlite")
        self.reader = Index.open(directory / "index.sqlite", readonly=True)

    def put(self, **contents: bytes) -> None:
        for key, body in (contents or CONTENTS).items():
            self.s3.put(BUCKET, key, body)
        self.s3.now += SECOND

    def capture(self, location: Location = LOCATION) -> StateInfo:
        return capture_state(self.s3, self.index, location)

    def plan(self, kept_until: dict[str, int], location: Location = LOCATION) -> LockPlan:
        return LockPlan(self.reader, location, "governance", LockTiming(self.s3.now, DAY, 10 * DAY), kept_until)

    def lock(self, kept_until: dict[str, int]) -> LockResult:
        return set_locks(self.s3, self.index, self.plan(kept_until))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.reader.close()
    place.index.close()


def denied(code: str = "AccessDenied") -> AccessDenied:
    error = AccessDenied(code)
    error.code = code
    return error


def test_every_kind_of_file_of_a_kept_state_is_locked(place: Place) -> None:
    place.put()
    place.put(other=b"1")
    info = place.capture()
    place.put(later=b"1")
    until = place.s3.now + 30 * DAY
    result = place.lock({info.id: until})
    assert (result.locked, result.failed) == (len(CONTENTS) + 1, 0)
    assert {key for key, _ in place.s3.retentions} == {*CONTENTS, "other"}
    assert all(until <= found.until <= until + 10 * DAY + SECOND for found in place.s3.retentions.values())


def test_locks_equal_the_model_that_looks_at_every_entry_of_every_state(tmp_path: Path) -> None:
    rng = random.Random(5)
    for attempt in range(8):
        (tmp_path / str(attempt)).mkdir()
        place = Place(tmp_path / str(attempt))
        kept_until: dict[str, int] = {}
        expected: dict[tuple[str, str], int] = {}
        locations = [LOCATION, Location(BUCKET, "host1/"), Location(BUCKET, "host1/deep/")]
        for step in range(25):
            key = rng.choice(["a", "b", "host1/a", "host1/b", "host1/deep/a", "z/a"])
            if rng.random() < 0.3 and key in place.s3.present(BUCKET):
                place.s3.delete(BUCKET, key)
            else:
                place.s3.put(BUCKET, key, b"1")
            place.s3.now += SECOND
            location = rng.choice(locations)
            if step % 2 and any(present.startswith(location.prefix) for present in place.s3.present(BUCKET)):
                info = place.capture(location)
                if rng.random() < 0.7:
                    kept_until[info.id] = until = place.s3.now + rng.randint(1, 60) * DAY
                    for entry in place.index.entries(info):
                        version = entry.key, entry.version_id
                        expected[version] = max(until, expected.get(version, 0))
        plan = place.plan(kept_until)
        cost = plan.cost()
        assert (cost.needed, cost.due, cost.lapsed) == (len(expected), len(expected), 0)
        set_locks(place.s3, place.index, plan)
        assert place.s3.retentions.keys() == expected.keys()
        for version, until in expected.items():
            assert until <= place.s3.retentions[version].until <= until + 10 * DAY + SECOND
        assert cost.latest == max((found.until for found in place.s3.retentions.values()), default=0)


def test_a_second_run_has_nothing_to_do_and_later_ones_only_extend(place: Place) -> None:
    place.put()
    info = place.capture()
    until = place.s3.now + 30 * DAY
    place.lock({info.id: until})
    before = dict(place.s3.retentions)
    place.s3.lock_requests.clear()
    assert place.plan({info.id: until}).cost().due == 0
    assert place.lock({info.id: until - 10 * DAY}).locked == 0
    assert place.s3.lock_requests == []
    place.lock({info.id: until + 15 * DAY})
    assert len(place.s3.lock_requests) == len(CONTENTS)
    assert all(place.s3.retentions[version].until > found.until for version, found in before.items())


def test_daily_runs_cost_a_tenth_of_one_request_for_each_version_and_day(place: Place) -> None:
    """Nothing needs to be asked of the server: the index knows what was set."""
    place.put(**{f"data/{n}": b"1" for n in range(100)})
    runs = 120
    for _ in range(runs):
        info = place.capture()
        place.lock({info.id: place.s3.now + 30 * DAY})
        place.s3.now += DAY
    assert len(place.s3.lock_requests) <= 100 * runs / 10


def test_an_interrupted_run_goes_on_where_it_was(place: Place) -> None:
    count = BATCH + 100
    place.put(**{f"data/{n:04}": b"1" for n in range(count)})
    info = place.capture()
    stop = next(iter(place.s3.buckets[BUCKET][f"data/{BATCH + 50:04}"])).version_id
    place.s3.refused_locks[f"data/{BATCH + 50:04}", stop] = Unreachable("down")
    until = {info.id: place.s3.now + DAY}
    with pytest.raises(Unreachable):
        place.lock(until)
    assert place.plan(until).cost().due < 100
    place.s3.refused_locks.clear()
    place.s3.lock_requests.clear()
    result = place.lock(until)
    assert result.failed == 0 and result.locked == len(place.s3.lock_requests) <= 100
    assert len(place.s3.retentions) == count


def test_a_version_that_is_gone_or_refused_is_counted_and_the_rest_is_locked(place: Place) -> None:
    place.put(a=b"1", b=b"1", c=b"1")
    info = place.capture()
    a, b = (place.s3.present(BUCKET)[key] for key in "ab")
    place.s3.remove(BUCKET, "a", a)
    place.s3.refused_locks["b", b] = denied()
    place.s3.now += 60 * SECOND
    result = place.lock({info.id: place.s3.now + DAY})
    assert (result.locked, result.failed) == (1, 2)
    assert sorted(result.failures) == [("a", a, "NoSuchKey"), ("b", b, "AccessDenied")]
    assert place.plan({info.id: place.s3.now + DAY}).cost().due == 2


def test_a_longer_lock_stays_and_is_recorded(place: Place) -> None:
    place.put(a=b"1")
    info = place.capture()
    version = place.s3.present(BUCKET)["a"]
    longer = Retention("compliance", place.s3.now + 300 * DAY)
    place.s3.retentions["a", version] = longer
    result = place.lock({info.id: place.s3.now + DAY})
    assert (result.locked, result.longer, result.failed) == (0, 1, 0)
    assert place.s3.retentions["a", version] == place.index.retentions.of(BUCKET, "a", version) == longer
    assert place.plan({info.id: place.s3.now + DAY}).cost().due == 0


def test_a_compliance_lock_is_extended_in_its_mode(place: Place) -> None:
    """No server takes a lock of the other mode."""
    place.put(a=b"1")
    info = place.capture()
    version = place.s3.present(BUCKET)["a"]
    place.s3.retentions["a", version] = Retention("compliance", place.s3.now + DAY)
    place.lock({info.id: place.s3.now + 30 * DAY})
    found = place.s3.retentions["a", version]
    assert (found.mode, found.until >= place.s3.now + 30 * DAY) == ("compliance", True)
    place.s3.now += 20 * DAY
    place.lock({info.id: place.s3.now + 40 * DAY})
    assert place.s3.retentions["a", version].mode == "compliance"


def test_a_refusal_right_after_the_write_is_tried_again(place: Place) -> None:
    place.put(a=b"1", b=b"1")
    info = place.capture()
    versions = place.s3.present(BUCKET)
    timing = LockTiming(place.s3.buckets[BUCKET]["a"][0].last_modified + SECOND, DAY, DAY)
    place.s3.refused_locks["a", versions["a"]] = denied()
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if sum(waited) >= 2:  # as long as servers have refused it
            place.s3.refused_locks.clear()

    place.s3.sleep = wait
    plan = LockPlan(place.reader, LOCATION, "governance", timing, {info.id: place.s3.now + DAY})
    assert set_locks(place.s3, place.index, plan).failed == 0


def test_a_refusal_long_after_the_write_is_final(place: Place) -> None:
    place.put(a=b"1")
    info = place.capture()
    place.s3.now += DAY
    place.s3.refused_locks["a", place.s3.present(BUCKET)["a"]] = denied()
    place.s3.sleep = lambda seconds: place.s3.refused_locks.clear()
    assert place.lock({info.id: place.s3.now + DAY}).failed == 1


def test_locks_that_have_ended_are_counted(place: Place) -> None:
    place.put(a=b"1", b=b"1")
    info = place.capture()
    place.lock({info.id: place.s3.now + DAY})
    place.s3.now += 40 * DAY
    cost = place.plan({info.id: place.s3.now + DAY}).cost()
    assert (cost.needed, cost.due, cost.lapsed) == (2, 2, 2)


def test_one_state_is_locked_until_a_time(place: Place) -> None:
    place.put(a=b"1", b=b"1")
    first = place.capture()
    place.put(a=b"2", c=b"1")
    place.capture()
    until = place.s3.now + 7 * DAY
    plan = plan_state_lock(place.reader, first, "compliance", until, place.s3.now)
    set_locks(place.s3, place.index, plan)
    wanted = {(entry.key, entry.version_id) for entry in place.index.entries(first)}
    assert place.s3.retentions == dict.fromkeys(wanted, Retention("compliance", -(-until // SECOND) * SECOND))


def test_the_rules_choose_the_states(place: Place) -> None:
    infos = []
    for body in (b"1", b"2", b"3"):
        place.put(notes=body)
        infos.append(place.capture())
        place.s3.now += DAY
    timing = LockTiming(place.s3.now, DAY, 10 * DAY)
    audit = audit_location(place.s3, LOCATION)
    plan = plan_locks(place.reader, LOCATION, keep_last(2), "governance", timing, audit)
    assert list(plan.kept_until) == [infos[1].id, infos[2].id]
    assert plan.cost().needed == 2


def test_deleted_versions_leave_the_table(place: Place) -> None:
    place.put(a=b"1", b=b"1")
    info = place.capture()
    place.lock({info.id: place.s3.now + DAY})
    versions = place.s3.present(BUCKET)
    place.index.retentions.forget(BUCKET, [("a", versions["a"]), ("c", "none")])
    assert place.index.retentions.of(BUCKET, "a", versions["a"]) is None
    assert place.index.retentions.of(BUCKET, "b", versions["b"]) is not None


def test_a_missing_bucket_is_an_error_of_each_version(place: Place) -> None:
    place.put(a=b"1")
    info = place.capture()
    place.s3.refused_locks["a", place.s3.present(BUCKET)["a"]] = NotFound("gone")
    (failure,) = place.lock({info.id: place.s3.now + DAY}).failures
    assert failure.code == "NotFound"
