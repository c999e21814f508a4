"""Which state is chosen: the last clean one, or a second of the bucket's history."""

from __future__ import annotations

import pytest

from rwm.location import Location
from rwm.model import RecordedState, StateInfo, Verdict
from rwm.recover import Choice, choose_state
from rwm.times import SECOND
from rwm.trust import AuditReport, AuditSettings, LocationAudit, Missing, StateVerdict
from rwm.trust.finding import FindingLog
from rwm.trust.repository_audit import RepositoryAudit

NOW = 1000 * SECOND
HERE = Location("bucket1")


def report(
    snapshots: list[int],
    first_proof: int | None,
    states: dict[int, Verdict],
    prefix: str = "",
    missing: int | None = None,
) -> AuditReport:
    """An audit: snapshots, the first proof, states, and one of them of which versions are gone, all by second."""
    gone = Missing(1, "who knows")
    log = FindingLog()
    if first_proof is not None:
        log.first_proof = first_proof * SECOND
        log.suspect.add(first_proof * SECOND, NOW)
    repository = RepositoryAudit("", log, NOW)
    repository.keys.written.add(SECOND)
    for second in snapshots:
        repository.snapshots.written.add(second * SECOND)
    verdicts = [
        StateVerdict(RecordedState(info(second, prefix), "own"), verdict, (), (), gone if second == missing else None)
        for second, verdict in states.items()
    ]
    return AuditReport(LocationAudit(HERE, NOW, AuditSettings(), [repository]), [], [], verdicts, 0)


def info(second: int, prefix: str = "") -> StateInfo:
    return StateInfo(f"{second:064x}", HERE.bucket, second * SECOND, "backup", 1, 1, prefix=prefix)


def test_the_newest_clean_state() -> None:
    audited = report([100, 200], 300, {110: "clean", 210: "clean", 310: "suspect"})
    assert choose_state(audited) == Choice(info(210), None, "it is the newest clean one")


def test_a_state_in_which_all_is_back() -> None:
    assert choose_state(report([100, 200], 300, {110: "clean", 990: "clean"})) == Choice(
        info(990), None, "it is the newest clean one"
    )


def test_history_without_a_clean_state() -> None:
    for states in ({}, {210: "review"}, {310: "suspect"}):
        audited = report([100, 200], 300, states)  # type: ignore[arg-type]
        assert choose_state(audited) == Choice(None, 299 * SECOND, "no recorded state is clean")


def test_a_state_of_a_part_is_not_chosen() -> None:
    found = choose_state(report([100], 300, {110: "clean"}, prefix="host1/"))
    assert found == Choice(None, 299 * SECOND, "no recorded state is clean")


@pytest.mark.parametrize(("snapshots", "says"), [([100, 200], "1 snapshot is"), ([100, 200, 250], "2 snapshots are")])
def test_history_with_snapshots_that_the_last_clean_state_lacks(snapshots: list[int], says: str) -> None:
    found = choose_state(report(snapshots, 300, {110: "clean", 310: "suspect"}))
    assert found == Choice(None, 299 * SECOND, f"{says} newer than the last clean state, of 1970-01-01T00:01:50Z")


def test_history_is_not_whole_if_versions_of_a_newer_state_are_gone() -> None:
    states: dict[int, Verdict] = {110: "clean", 210: "review"}
    whole = report([100, 200], 300, states)
    assert choose_state(report([100, 200], 300, states, missing=110)) == choose_state(whole)
    why = "it is the newest clean one; versions of newer states are gone from the bucket: who knows"
    assert choose_state(report([100, 200], 300, states, missing=210)) == Choice(info(110), None, why)


def test_nothing_that_is_clean_is_known() -> None:
    assert choose_state(report([], 1, {110: "suspect"})) is None
