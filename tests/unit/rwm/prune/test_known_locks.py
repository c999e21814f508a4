"""A prune in a bucket with Object Lock: what it asks the server, and what it says of locked versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.errors import S3Error
from rwm.index import Index
from rwm.location import Location
from rwm.model import Retention
from rwm.prune import PrunePlan, plan_prune, prune_and_record
from rwm.s3 import DELETE_BATCH, DeleteFailure, VersionLock
from rwm.states import capture_state
from rwm.times import DAY, SECOND
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
LOCATION = Location(BUCKET)


class CountingS3(MemoryS3):
    """A bucket with Object Lock that counts requests to delete."""

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.object_lock = True
        self.delete_requests: list[int] = []

    def delete_versions(self, bucket: str, exact: object) -> list[DeleteFailure]:
        self.delete_requests.append(len(exact))  # type: ignore[arg-type]
        return super().delete_versions(bucket, exact)  # type: ignore[arg-type]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def make_plan(s3: MemoryS3, index: Index) -> PrunePlan:
    return plan_prune(s3, index, LOCATION, index.states(LOCATION)[-1:])


def replace_all(s3: MemoryS3, index: Index, keys: int) -> list[tuple[str, str]]:
    """Write so many keys and replace them; what a state of now does not need."""
    replaced = [(key, s3.put(BUCKET, key, b"1")) for key in (f"k{n:05}" for n in range(keys))]
    for key, _ in replaced:
        s3.put(BUCKET, key, b"2")
    s3.now += 2 * SECOND
    capture_state(s3, index, LOCATION)
    s3.now += 2 * SECOND
    return replaced


def test_only_versions_that_the_server_refuses_cost_a_request(index: Index) -> None:
    """One for each of the 3,000 before."""
    s3 = CountingS3()
    replaced = replace_all(s3, index, 3 * DELETE_BATCH)
    for pair in replaced[:5]:
        s3.retentions[pair] = Retention("governance", s3.now + 9 * DAY)
    s3.locked[replaced[5]] = "legal hold"
    plan = make_plan(s3, index)
    assert (len(plan.versions), plan.locked, plan.has_object_lock, s3.asked_about_locks) == (len(replaced), 0, True, [])
    done = prune_and_record(s3, index, plan)
    assert s3.delete_requests == [DELETE_BATCH] * 3
    assert sorted(s3.asked_about_locks) == sorted(done.result.locked) == replaced[:6]
    assert (done.result.versions, done.result.failures) == (len(replaced) - 6, ())
    assert done.report.failures == {"locked": 6}


def test_what_was_found_is_known_to_the_next_prune_until_it_ends(index: Index) -> None:
    s3 = CountingS3()
    retained, held = replace_all(s3, index, 2)
    s3.retentions[retained] = Retention("compliance", s3.now + 9 * DAY)
    s3.locked[held] = "legal hold"
    assert prune_and_record(s3, index, make_plan(s3, index)).result.locked.keys() == {retained, held}
    again = make_plan(s3, index)
    assert (len(again.versions), again.locked, len(s3.asked_about_locks)) == (0, 2, 2)
    del s3.locked[held]
    s3.now += 2 * DAY  # a hold may have been lifted
    again = make_plan(s3, index)
    assert ([(item.key, item.version_id) for item in again.versions], again.locked) == ([held], 1)
    assert prune_and_record(s3, index, again).result.versions == 1
    s3.now += 9 * DAY
    assert prune_and_record(s3, index, make_plan(s3, index)).result.versions == 1


def test_a_refusal_without_a_lock_is_a_failure(index: Index) -> None:
    s3 = CountingS3()
    locked, denied = replace_all(s3, index, 2)
    s3.retentions[locked] = Retention("governance", s3.now + DAY)
    s3.stuck[denied] = "AccessDenied"
    result = prune_and_record(s3, index, make_plan(s3, index)).result
    assert (list(result.locked), result.failures) == ([locked], (DeleteFailure(*denied, "AccessDenied"),))


def test_a_server_that_does_not_tell_leaves_the_refusal_as_it_is(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = CountingS3()
    (locked,) = replace_all(s3, index, 1)
    s3.retentions[locked] = Retention("governance", s3.now + DAY)

    def fail(*_: str) -> VersionLock:
        raise S3Error("HeadObject: AccessDenied")

    monkeypatch.setattr(s3, "version_lock", fail)
    result = prune_and_record(s3, index, make_plan(s3, index)).result
    assert (result.locked, result.failures) == ({}, (DeleteFailure(*locked, "AccessDenied"),))


def test_what_hides_a_locked_version_stays(index: Index) -> None:
    s3 = CountingS3()
    s3.put(BUCKET, "stays", b"1")
    version = s3.put(BUCKET, "deleted", b"1")
    s3.delete(BUCKET, "deleted")
    s3.now += 2 * SECOND
    capture_state(s3, index, LOCATION)
    s3.now += 2 * SECOND
    s3.retentions["deleted", version] = Retention("governance", s3.now + DAY)
    plan = make_plan(s3, index)
    assert len(plan.markers) == 1
    assert prune_and_record(s3, index, plan).result.markers == 0
    assert s3.present(BUCKET).keys() >= {"stays"} and "deleted" not in s3.present(BUCKET)
    assert not make_plan(s3, index).markers


def test_too_many_locks_end_a_prune(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.prune.execute.MAX_LOCKED", 10)
    s3 = CountingS3()
    for pair in replace_all(s3, index, 2 * DELETE_BATCH):
        s3.retentions[pair] = Retention("governance", s3.now + DAY)
    result = prune_and_record(s3, index, make_plan(s3, index)).result
    assert (len(result.locked), result.left) == (DELETE_BATCH, DELETE_BATCH)
