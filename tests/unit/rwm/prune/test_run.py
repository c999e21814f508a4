"""The report that is kept of a prune."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rwm.errors import AccessDenied, BadResponse, BadState, NotFound, StateNotFound
from rwm.index import Index
from rwm.location import Location
from rwm.model import PruneReport, StateInfo
from rwm.prune import (
    BLOCK,
    Deletion,
    DeletionSpool,
    PrunePlan,
    Stage,
    list_reports,
    plan_prune,
    prune_and_record,
    removed,
)
from rwm.prune.deletion_spool import Bits
from rwm.prune.report_files import report_key
from rwm.s3 import DeleteFailure
from rwm.states import capture_state, list_state_files, sync_states
from rwm.times import DAY, SECOND
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
LOCATION = Location(BUCKET)
START = 1_767_225_600_000  # 2026-01-01


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def make_plan(s3: MemoryS3, index: Index) -> tuple[PrunePlan, StateInfo]:
    """A plan that ends the first of two states."""
    states = []
    for content in (b"1", b"22"):
        s3.put(BUCKET, "notes", content)
        s3.now += 2 * SECOND
        states.append(capture_state(s3, index, LOCATION))
    return plan_prune(s3, index, LOCATION, states[1:]), states[0]


def test_a_report_says_what_was_kept_and_removed(index: Index) -> None:
    s3 = MemoryS3(BUCKET)
    plan, lost = make_plan(s3, index)
    done = prune_and_record(s3, index, plan)
    (report,) = index.prunes.recorded(LOCATION)
    assert report == done.report
    assert [state.id for state in report.lost_states] == [lost.id]
    assert (report.versions, report.markers, report.bytes, report.removed) == (1, 0, 1, {"replaced": 1})
    assert report.ended_at is not None and report.ended_at > report.at
    with pytest.raises(StateNotFound, match="was pruned on"):
        index.resolve(lost.id[:8])
    assert index.prunes.recorded(Location("other")) == []


def test_a_prune_that_was_killed_before_its_first_answer_is_finished_by_the_next(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has deleted, and the index still has the state."""
    s3 = MemoryS3(BUCKET)
    plan, lost = make_plan(s3, index)
    s3.put(BUCKET, "other", b"1")

    def die(*_: object) -> None:
        raise BadResponse("killed")

    with monkeypatch.context() as patch:
        patch.setattr("rwm.prune.run.prune_and_forget", die)
        with pytest.raises(BadResponse):
            prune_and_record(s3, index, plan)
    for item in plan.versions:
        s3.remove(BUCKET, item.key, item.version_id)
    assert index.has(lost)
    assert [report.ended_at for report in index.prunes.recorded()] == [None]
    again = plan_prune(s3, index, LOCATION, plan.kept_states)
    s3.put(BUCKET, "keeps the state partly present", b"1")
    again = replace(again, locations=plan.locations)
    assert not again.versions
    prune_and_record(s3, index, again)
    assert not index.has(lost)


class TestReportInTheBucket:
    """What was removed and why, for other computers too."""

    def other_computers(self, s3: MemoryS3, *, is_protected: bool = True) -> list[PruneReport | BadState]:
        return list(list_reports(s3, LOCATION, lambda: is_protected))

    def admin(self) -> MemoryS3:
        s3 = MemoryS3(BUCKET)
        s3.account = s3.owner
        return s3

    def test_has_each_version_with_the_reason(self, index: Index) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        planned = list(plan.versions)
        report = prune_and_record(s3, index, plan).report
        assert self.other_computers(s3) == [report]
        assert list(removed(s3, report)) == [(Stage.VERSIONS, item) for item in planned]
        assert [item.why for item in planned] == ["replaced"]

    def test_leaves_out_what_was_not_deleted(self, index: Index) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        (item,) = plan.versions
        s3.stuck[item.key, item.version_id] = "AccessDenied"
        assert list(removed(s3, prune_and_record(s3, index, plan).report)) == []

    def test_of_a_killed_prune_says_what_it_was_to_remove(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)

        def die(*_: object) -> None:
            raise BadResponse("killed")

        monkeypatch.setattr("rwm.prune.run.prune_and_forget", die)
        with pytest.raises(BadResponse):
            prune_and_record(s3, index, plan)
        (report,) = self.other_computers(s3)
        assert isinstance(report, PruneReport) and report.ended_at is None
        assert [item for _, item in removed(s3, report)] == list(plan.versions)

    def test_is_written_before_the_first_deletion(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)

        def fail(*_: object) -> None:
            raise BadResponse("PutObject: 507")

        monkeypatch.setattr(s3, "upload", fail)
        with pytest.raises(BadResponse):
            prune_and_record(s3, index, plan)
        assert s3.deleted == []

    def test_of_a_part_of_a_stored_plan_has_that_part(self, index: Index) -> None:
        s3 = self.admin()
        for number in range(3):
            s3.put(BUCKET, f"k{number}", b"1")
            s3.put(BUCKET, f"k{number}", b"2")
        plan, _ = make_plan(s3, index)
        chosen = {stage: Bits(plan.deletions.count(stage)) for stage in Stage}
        chosen[Stage.VERSIONS].add(1)
        (second,) = [item for place, item in plan.deletions.read_positions(Stage.VERSIONS) if place == 1]
        plan.deletions.select(chosen)
        report = prune_and_record(s3, index, plan).report
        assert [item for _, item in removed(s3, report)] == [second]

    def test_stays_however_old_it_is(self, index: Index) -> None:
        s3 = self.admin()
        reports = []
        for _ in range(2):
            plan, _ = make_plan(s3, index)
            reports.append(prune_and_record(s3, index, plan).report)
            s3.now += 3000 * DAY
        assert self.other_computers(s3) == reports
        assert [item.key for _, item in removed(s3, reports[0])] == ["notes"]

    def test_takes_110_bytes_for_each_version(self) -> None:
        """As docs/operations.md says; names are random as those of restic, which do not compress."""
        count, rng, spool = 20 * BLOCK, random.Random(1), DeletionSpool()
        for n in range(count):
            key = f"data/{n * 256 // count:02x}/{n * 256 // count:02x}{rng.getrandbits(248):062x}"
            times = sorted(rng.randrange(START, START + 400 * DAY) for _ in range(2))
            spool.add(
                Stage.VERSIONS,
                [Deletion(key, f"{rng.getrandbits(124):031x}", rng.randrange(1 << 25), "deleted", *times)],
            )
        assert spool.finish().file.path.stat().st_size <= 110 * count

    def test_counts_only_if_no_user_can_have_written_it(self, index: Index) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        report = prune_and_record(s3, index, plan).report
        assert self.other_computers(s3, is_protected=False) == []
        s3.account = "user1"
        s3.put(BUCKET, report_key(report), b"forged")
        assert self.other_computers(s3) == []

    @pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"location":1}', b"null", b"\xff"])
    def test_that_is_malformed_is_named(self, index: Index, content: bytes) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        s3.put(BUCKET, report_key(prune_and_record(s3, index, plan).report), content)
        (fault,) = self.other_computers(s3)
        assert isinstance(fault, BadState) and "cannot be read" in fault.message

    @pytest.mark.parametrize(
        "wrong",
        [
            {"at": "x"},
            {"at": 10**15},
            {"at": -1},
            {"ended_at": 1.5},
            {"removed": []},
            {"failures": {"x": "y"}},
            {"lost_states": [["a", 1, "b"]]},
            {"lost_states": [[1, 1, 1]]},
            {"versions": "1"},
            {"id": 1},
            {"location": [BUCKET, 1]},
        ],
    )
    def test_with_a_wrong_value_is_named(self, index: Index, wrong: dict[str, object]) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        key = report_key(prune_and_record(s3, index, plan).report)
        s3.put(BUCKET, key, json.dumps(json.loads(s3.get(BUCKET, key)) | wrong).encode())
        (fault,) = self.other_computers(s3)
        assert isinstance(fault, BadState) and "cannot be read" in fault.message

    def test_that_is_nested_too_deep_is_named(self, index: Index) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        s3.put(BUCKET, report_key(prune_and_record(s3, index, plan).report), b"[" * 99_999)
        (fault,) = self.other_computers(s3)
        assert isinstance(fault, BadState)

    @pytest.mark.parametrize("wrong", [{"noncurrent_at": "x"}, {"noncurrent_at": 10**15}, {"key": 1}, {"size": None}])
    def test_whose_lines_have_a_wrong_value_is_an_error(self, index: Index, wrong: dict[str, object]) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        report = prune_and_record(s3, index, plan).report
        key = f"{report_key(report)}l.gz"
        line = json.loads(gzip.decompress(s3.get(BUCKET, key)).splitlines()[0]) | wrong
        s3.put(BUCKET, key, gzip.compress(json.dumps(line).encode() + b"\n"))
        with pytest.raises(BadState, match="malformed"):
            list(removed(s3, report))

    @pytest.mark.parametrize("content", [None, b"{}\n", b'{"key":', b"x" * 99_999])
    def test_whose_lines_are_malformed_is_an_error(self, index: Index, content: bytes | None) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        report = prune_and_record(s3, index, plan).report
        s3.put(BUCKET, f"{report_key(report)}l.gz", b"x" if content is None else gzip.compress(content))
        with pytest.raises(BadState, match=r"malformed|cut off"):
            list(removed(s3, report))

    def test_whose_lines_are_gone_is_an_error(self, index: Index) -> None:
        s3 = self.admin()
        plan, _ = make_plan(s3, index)
        report = prune_and_record(s3, index, plan).report
        s3.delete(BUCKET, f"{report_key(report)}l.gz")
        with pytest.raises(NotFound, match="has no list of what prune"):
            list(removed(s3, report))


def test_two_prunes_at_once_delete_what_one_would(index: Index, tmp_path: Path) -> None:
    s3 = MemoryS3(BUCKET)
    first, lost = make_plan(s3, index)
    with Index.open(tmp_path / "other.sqlite") as other:
        files = list_state_files(s3, LOCATION)
        sync_states(s3, other, LOCATION, files, files)
        second = plan_prune(s3, other, LOCATION, other.states(LOCATION)[1:])
        present = s3.present(BUCKET)["notes"]
        results = [prune_and_record(s3, *each).result for each in ((index, first), (other, second))]
        assert [(result.failures, result.left) for result in results] == [((), 0), ((), 0)]
        assert s3.present(BUCKET)["notes"] == present
        assert not index.has(lost) and not other.has(lost)
        assert index.states(LOCATION) == other.states(LOCATION)


def test_keys_that_are_revoked_half_way_leave_a_report_of_an_interrupted_prune(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = MemoryS3(BUCKET)
    plan, lost = make_plan(s3, index)

    def refuse(*_: object) -> list[DeleteFailure]:
        raise AccessDenied("DeleteObjects bucket1: InvalidAccessKeyId")

    monkeypatch.setattr(s3, "delete_versions", refuse)
    with pytest.raises(AccessDenied, match="InvalidAccessKeyId"):
        prune_and_record(s3, index, plan)
    (report,) = index.prunes.recorded(LOCATION)
    assert report.ended_at is None and not index.has(lost)
