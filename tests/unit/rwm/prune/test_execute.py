"""Execution of a prune plan: exactly its deletions, in an order that may be interrupted at any time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rwm.errors import BadResponse
from rwm.index import Index
from rwm.location import Location
from rwm.model import Retention
from rwm.prune.deletion_spool import DeletionSpool
from rwm.prune.execute import execute_prune, prune_and_forget
from rwm.prune.key_plan import Deletion
from rwm.prune.location_plan import LocationPlan
from rwm.prune.plan import PrunePlan
from rwm.prune.stages import Stage
from rwm.s3 import DELETE_BATCH, DeleteFailure
from rwm.states import capture_state
from rwm.times import DAY
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
NEVER = 1 << 62


def make_plan(versions: Iterable[Deletion], markers: Iterable[Deletion]) -> PrunePlan:
    spool = DeletionSpool()
    spool.add(Stage.VERSIONS, list(versions))
    spool.add(Stage.MARKERS, list(markers))
    return PrunePlan(LOCATION, (), spool.finish())


class FailingS3(MemoryS3):
    """Fails the delete request with the number ``fails_at``."""

    fails_at = NEVER
    requests = 0

    def delete_versions(self, bucket: str, exact: object) -> list[DeleteFailure]:
        self.requests += 1
        if self.requests == self.fails_at:
            raise BadResponse("DeleteObjects bucket1: not XML")
        return super().delete_versions(bucket, exact)  # type: ignore[arg-type]


def delete_keys(s3: MemoryS3, keys: int, versions: int = 1) -> PrunePlan:
    """Make deleted keys in the bucket; the plan that empties it."""
    deletions, markers = [], []
    for n in range(keys):
        deletions += [Deletion(f"k{n}", s3.put(BUCKET, f"k{n}", b"12"), 2) for _ in range(versions)]
        s3.delete(BUCKET, f"k{n}")
        markers.append(Deletion(f"k{n}", s3.buckets[BUCKET][f"k{n}"][0].version_id, 0))
    return make_plan(deletions, markers)


def delete_files(s3: MemoryS3) -> PrunePlan:
    """Make a deleted pack, index and lock; the plan that empties the bucket."""
    spool = DeletionSpool()
    for key, versions in (
        ("data/a", Stage.VERSIONS),
        ("index/a", Stage.INDEX_VERSIONS),
        ("locks/a", Stage.LOCK_VERSIONS),
    ):
        spool.add(versions, [Deletion(key, s3.put(BUCKET, key, b"1"), 1)])
        s3.delete(BUCKET, key)
        spool.add(Stage(versions + 1), [Deletion(key, s3.buckets[BUCKET][key][0].version_id, 0)])
    return PrunePlan(LOCATION, (), spool.finish())


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
        stuck = list(plan.versions)[2]
        s3.stuck[stuck.key, stuck.version_id] = "AccessDenied"
        result = execute_prune(s3, plan)
        assert result.failures == (DeleteFailure(stuck.key, stuck.version_id, "AccessDenied"),)
        assert (result.versions, result.markers, result.bytes) == (5, 2, 10)
        assert s3.present(BUCKET) == {}
        assert s3.counts(BUCKET) == {"version": 1, "marker": 1}

    def test_a_failed_marker_is_reported(self) -> None:
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, 2)
        marker = next(iter(plan.markers))
        s3.stuck[marker.key, marker.version_id] = "InternalError"
        result = execute_prune(s3, plan)
        assert (result.versions, result.markers) == (2, 1)
        assert [failure.code for failure in result.failures] == ["InternalError"]

    @pytest.mark.parametrize("request_number", range(1, 8))
    def test_interruption_makes_no_version_current_and_the_rest_can_be_executed(self, request_number: int) -> None:
        s3 = FailingS3(BUCKET)
        plan = delete_keys(s3, DELETE_BATCH + 10, 5)
        s3.fails_at = request_number
        with pytest.raises(BadResponse):
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

    def test_locks_and_indexes_stay_after_a_failure(self) -> None:
        """The audit judges by them the marker that stays."""
        s3 = MemoryS3(BUCKET)
        plan = delete_files(s3)
        (stuck,) = [item for item in plan.versions if item.key == "data/a"]
        s3.stuck[stuck.key, stuck.version_id] = "AccessDenied"
        result = execute_prune(s3, plan)
        assert (result.versions, result.markers, len(result.failures), result.left) == (0, 0, 1, 5)
        s3.stuck.clear()
        assert execute_prune(s3, plan).left == 0
        assert [key.partition("/")[0] for key, _ in s3.deleted] == ["data", "data", "index", "index", "locks", "locks"]

    def test_locks_and_indexes_stay_beside_a_locked_version(self) -> None:
        s3 = MemoryS3(BUCKET)
        s3.object_lock = True
        plan = replace(delete_files(s3), has_object_lock=True)
        (pack,) = [item for item in plan.versions if item.key == "data/a"]
        s3.retentions[pack.key, pack.version_id] = Retention("governance", s3.now + DAY)
        result = execute_prune(s3, plan)
        assert (result.versions, result.markers, result.failures, result.left) == (0, 0, (), 5)
        assert result.locked.keys() == {(pack.key, pack.version_id)}

    def test_many_failures_stop_a_prune(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rwm.prune.execute.MAX_FAILURES", 10)
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, 2000, 1)
        s3.stuck = {(item.key, item.version_id): "AccessDenied" for item in plan.versions}
        result = execute_prune(s3, plan)
        assert (result.versions, result.markers) == (0, 0)
        assert len(result.failures) == DELETE_BATCH
        assert result.left == 4000 - DELETE_BATCH

    def test_progress_counts_every_deletion(self) -> None:
        s3 = MemoryS3(BUCKET)
        plan = delete_keys(s3, 7, 100)
        counted: list[int] = []
        execute_prune(s3, plan, counted.append)
        assert sum(counted) == 707

    def test_a_refused_plan_is_not_executed(self) -> None:
        s3 = MemoryS3(BUCKET)
        version = s3.put(BUCKET, "k", b"1")
        refused = replace(make_plan([Deletion("k", version, 1)], []), bucket_refused=("no state",))
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

    def test_an_interrupted_prune_drops_those_of_confirmed_deletions(self, index: Index) -> None:
        s3 = FailingS3(BUCKET)
        first, _ = self.verified(s3, index)
        plan = make_plan([Deletion("k0", first, 2)], [Deletion("k0", "m", 0)])
        s3.fails_at = 2
        with pytest.raises(BadResponse):
            prune_and_forget(s3, index, plan)
        assert self.left(index) == 1


class TestLostStates:
    """They leave the index."""

    def lost(self, s3: MemoryS3, index: Index) -> PrunePlan:
        s3.now += 10_000
        version = s3.put(BUCKET, "k0", b"12")
        info = capture_state(s3, index, LOCATION)
        return replace(
            make_plan([Deletion("k0", version, 2)], []), locations=(LocationPlan(LOCATION, (), lost_states=(info,)),)
        )

    def test_when_a_version_was_deleted(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        prune_and_forget(s3, index, self.lost(s3, index))
        assert index.states() == []

    def test_when_the_prune_is_interrupted(self, index: Index) -> None:
        """The server may have deleted what it did not confirm."""
        s3 = FailingS3(BUCKET)
        s3.fails_at = 1
        with pytest.raises(BadResponse):
            prune_and_forget(s3, index, self.lost(s3, index))
        assert index.states() == []

    def test_unless_nothing_could_be_deleted(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        plan = self.lost(s3, index)
        (version,) = plan.versions
        s3.stuck[version.key, version.version_id] = "AccessDenied"
        assert prune_and_forget(s3, index, plan).versions == 0
        assert len(index.states()) == 1
