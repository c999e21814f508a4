"""Bins of the timeline, and the shapes of its image."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rwm.model import RecordedState
from rwm.page.chart import describe, draw
from rwm.page.timeline import make_timeline
from rwm.times import HOUR
from rwm.trust import make_report
from tests.unit.rwm.page.reports import attacked_report, clean_report, empty_report

REPORT = attacked_report()


@pytest.mark.parametrize("count", [1, 7, 48, 120, 100_000])
def test_bins_are_contiguous_and_count_everything(count: int) -> None:
    timeline = make_timeline(REPORT, count)
    assert timeline
    bins = timeline.bins
    hours = list(REPORT.audit.repositories[0].activity.hours())
    assert len(bins) <= count
    assert [each.end for each in bins[:-1]] == [each.start for each in bins[1:]]
    assert bins[0].start <= hours[0].start
    assert bins[-1].start <= REPORT.audit.now < bins[-1].end
    assert all((each.end - each.start) % HOUR == 0 for each in bins)
    assert sum(each.added for each in bins) == sum(hour.added for hour in hours)
    assert sum(each.removed_bytes for each in bins) == sum(hour.removed_bytes for hour in hours)
    assert sum(each.proofs + each.hints for each in bins) == len(REPORT.open_findings)
    assert sum(sum(each.states.values()) for each in bins) == len(REPORT.states)


def test_the_last_bin_has_what_is_left() -> None:
    timeline = make_timeline(REPORT, 50)
    assert timeline
    hours = list(REPORT.audit.repositories[0].activity.hours())
    assert timeline.bins[-1].files == sum(hour.added - hour.removed for hour in hours)
    assert timeline.bins[-1].bytes == sum(hour.added_bytes - hour.removed_bytes for hour in hours)


def test_a_forged_state_of_long_ago_is_no_beginning_of_the_attack() -> None:
    report = REPORT
    info = replace(report.states[0].state.info, id="f" * 64, captured_at=0)
    forged = RecordedState(info, "contradicted", report.audit.now)
    both = make_report(report.audit, [forged, *(item.state for item in report.states)])
    assert (both.first_proof, both.open_proofs) == (report.first_proof, report.open_proofs + 1)
    before, after = (make_timeline(one, 100) for one in (report, both))
    assert before is not None and after is not None
    assert [found.proofs for found in after.bins] == [found.proofs for found in before.bins]
    alone = make_report(clean_report().audit, [forged])
    assert (alone.first_proof, alone.open_proofs) == (0, 1)


def test_the_last_clean_state_is_before_the_first_proof() -> None:
    timeline = make_timeline(REPORT, 100)
    assert timeline
    assert timeline.last_clean is not None
    first = next(n for n, each in enumerate(timeline.bins) if each.proofs)
    assert timeline.last_clean <= first
    assert "clean" in timeline.bins[timeline.last_clean].states


def test_nothing_is_drawn_without_changes() -> None:
    assert make_timeline(empty_report(), 10) is None


@pytest.mark.parametrize(("width", "bins"), [(960, 120), (400, 48), (400, 1)])
def test_shapes_are_within_the_image(width: int, bins: int) -> None:
    timeline = make_timeline(REPORT, bins)
    assert timeline
    chart = draw(timeline, "x", width, 3)
    for bar in chart.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= width + 1
        assert chart.changes_top - 1 <= bar.y <= bar.y + bar.height <= chart.findings_y
    assert all(0 <= mark.x <= width and mark.y < chart.height for mark in [*chart.findings, *chart.states])
    assert {mark.kind for mark in chart.states} <= {"clean", "review", "suspect"}
    assert chart.ticks[0].anchor == "start" and chart.ticks[-1].anchor == "end"


def test_the_image_is_described() -> None:
    timeline = make_timeline(clean_report(6), 48)
    assert timeline
    assert describe(timeline) == draw(timeline, "x", 400, 3).summary
    assert "0 proofs marked; 6 states." in describe(timeline)
