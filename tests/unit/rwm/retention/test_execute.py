"""Execution of a prune plan: exactly its deletions, in an order that may be interrupted at any time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import Unreachable
from rwm.index import Index
from rwm.location import Location
from rwm.retention.execute import execute_prune, interleave_keys, prune_and_forget
from rwm.retention.key_plan import Deletion
from rwm.retention.plan import PrunePlan
from rwm.s3 import DELETE_BATCH, DeleteFailure
from rwm.states import capture_state
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
NEVER = 1 << 62


@given(keys=st.lists(st.sampled_from("aaab"), max_size=30))
def test_interleave_keys_separates_versions_of_one_key_and_keeps_all(keys: list[str]) -> None:
    deletions = [Deletion(key, str(n), 1) for n, key in enumerate(keys)]
    ordered = interleave_keys(deletions)
    assert sorted(ordered) == sorted(deletions)
    rank = {item: sum(d.key == item.key for d in deletions[: deletions.index(item)]) for item in deletions}
    assert [rank[item] for item in ordered] == sorted(rank.values())


def make_plan(versions: list[Deletion], markers: list[Deletion]) -> PrunePlan:
    return PrunePlan(LOCATION, (), tuple(versions), tuple(markers))


class FailingS3(MemoryS3):
    """Fails the delete request with the number ``fails_at``."""

    fails_at = NEVER
    requests = 0

    def delete_versions(self, bucket: str, exact: object) -> list[DeleteFailure]:
        self.requests += 1
        if self.requests == self.fails_at:
            raise Unreachable("DeleteObjects bucket1: no usable answer")
        return super().delete_versions(bucket, exact)  # type: ignore[arg-type]


def delete_keys(s3: MemoryS3, keys: int, versions: int = 1) -> PrunePlan:
    """Make deleted keys in the bucket; the plan that empties it."""
    deletions, markers = [], []
    for n in range(keys):
        deletions += [Deletion(f"k{n}", s3.put(BUCKET, f"k{n}", b"12"), 2) for _ in range(versions)]
        s3.delete(BUCKET, f"k{n}")
        markers.append(Deletion(f"k{n}", s3.buckets[BUCKET][f"k{n}"][0].version_id, 0))
    return make_plan(deletions, markers)


class TestExecute:
    def test_deletes_exactly_what_the_plan_names(self) -> None:
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, 3, 2)
        other = s3.put(BUCKET, "k0", b"came later")
        result = execute_prune(s3, plan)
        assert (result.versions, result.markers, result.bytes, result.failures) == (6, 3, 12, ())
        assert sorted(s3.deleted) == sorted((d.key, d.version_id) for d in [*plan.versions, *plan.markers])
        assert s3.present(BUCKET) == {"k0": other}

    def test_versions_are_deleted_before_markers(self) -> None:
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, DELETE_BATCH + 10, 5)
        execute_prune(s3, plan)
        markers = {(marker.key, marker.version_id) for marker in plan.markers}
        kinds = [pair in markers for pair in s3.deleted]
        assert kinds == sorted(kinds)
        assert sum(kinds) == DELETE_BATCH + 10

    def test_a_marker_stays_when_a_version_of_its_key_fails(self) -> None:
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, 3, 2)
        stuck = plan.versions[2]
        s3.stuck[stuck.key, stuck.version_id] = "AccessDenied"
        result = execute_prune(s3, plan)
        assert result.failures == (DeleteFailure(stuck.key, stuck.version_id, "AccessDenied"),)
        assert (result.versions, result.markers, result.bytes) == (5, 2, 10)
        assert s3.present(BUCKET) == {}
        assert s3.counts(BUCKET) == {"version": 1, "marker": 1}

    def test_a_failed_marker_is_reported(self) -> None:
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, 2)
        s3.stuck[plan.markers[0].key, plan.markers[0].version_id] = "InternalError"
        result = execute_prune(s3, plan)
        assert (result.versions, result.markers) == (2, 1)
        assert [failure.code for failure in result.failures] == ["InternalError"]

    @pytest.mark.parametrize("request_number", range(1, 8))
    def test_interruption_makes_no_version_current_and_the_rest_can_be_executed(self, request_number: int) -> None:
        s3 = FailingS3(BUCKET)
        plan = delete_keys(s3, DELETE_BATCH + 10, 5)
        s3.fails_at = request_number
        with pytest.raises(Unreachable):
            execute_prune(s3, plan)
        assert s3.present(BUCKET) == {}
        versions = {(d.key, d.version_id) for d in plan.versions}
        deleted = set(s3.deleted)
        rest = make_plan(
            [d for d in plan.versions if (d.key, d.version_id) not in deleted],
            [d for d in plan.markers if (d.key, d.version_id) not in deleted],
        )
        assert not deleted - versions or versions <= deleted
        execute_prune(s3, rest)
        assert s3.counts(BUCKET) == {}

    def test_progress_counts_every_deletion(self) -> None:
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, 7, 100)
        counted: list[int] = []
        execute_prune(s3, plan, counted.append)
        assert sum(counted) == 707

    def test_a_refused_plan_is_not_executed(self) -> None:
        s3 = MemoryS3(BUCKET)
        version = s3.put(BUCKET, "k", b"1")
        refused = PrunePlan(LOCATION, (), (Deletion("k", version, 1),), (), bucket_refused=("no state",))
        with pytest.raises(AssertionError):
            execute_prune(s3, refused)
        assert s3.deleted == []


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


class TestResultsOfVerification:
    """They are dropped from the index with the version."""

    def verified(self, s3: MemoryS3, index: Index) -> list[str]:
        """Two keys, of which the first versions were read and the second ones are current."""
        s3.now += 10_000
        for key in ("k0", "k1"):
            s3.put(BUCKET, key, b"12")
        info = capture_state(s3, index, LOCATION)
        entries = list(index.entries(info))
        index.verifications.record_content(BUCKET, [(entry, None) for entry in entries], 5000)
        return [entry.version_id for entry in entries]

    def left(self, index: Index) -> int:
        return int(index._connection.execute("SELECT count(*) FROM content").fetchone()[0])

    def test_but_not_of_those_that_the_server_keeps(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        first, second = self.verified(s3, index)
        s3.stuck["k1", second] = "locked"
        plan = make_plan([Deletion("k0", first, 2), Deletion("k1", second, 2)], [])
        assert prune_and_forget(s3, index, plan).versions == 1
        assert self.left(index) == 1

    def test_also_when_the_prune_is_interrupted(self, index: Index) -> None:
        s3 = FailingS3(BUCKET)
        first, _ = self.verified(s3, index)
        s3.fails_at = 1
        with pytest.raises(Unreachable):
            prune_and_forget(s3, index, make_plan([Deletion("k0", first, 2)], []))
        assert self.left(index) == 1
