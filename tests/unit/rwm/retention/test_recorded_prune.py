"""The report that is kept of a prune."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rwm.errors import BadResponse, StateNotFound
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.retention import PrunePlan, plan_prune, prune_and_record
from rwm.states import capture_state
from rwm.times import SECOND
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
LOCATION = Location(BUCKET)


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
        patch.setattr("rwm.retention.recorded_prune.prune_and_forget", die)
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
