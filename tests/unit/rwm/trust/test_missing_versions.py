"""What is said of a state of which versions are gone."""

from __future__ import annotations

from rwm.location import Location
from rwm.model import PrunedState, PruneReport, StateInfo
from rwm.times import SECOND
from rwm.trust.missing_versions import explain_missing

STATE = StateInfo("ab" * 32, "bucket1", 100 * SECOND, "backup", 12, 1)


def why(reports: list[PruneReport], prunes: list[int]) -> str:
    return explain_missing([STATE], {STATE.id: 3}, reports, prunes)[STATE.id].why


def report(at: int, *states: str) -> PruneReport:
    lost = tuple(PrunedState(state, 0, at) for state in states)
    return PruneReport("0123", Location("bucket1"), at, 0, (), lost)


def test_the_prune_that_ended_the_state() -> None:
    reports = [report(200_500, STATE.id), report(300_000, "other")]
    assert why(reports, [200_500, 300_000]) == "pruned by rwm prune on 1970-01-01T00:03:20Z"


def test_a_prune_of_another_computer_may_have_done_it() -> None:
    expected = "rwm prune may have deleted them, last on 1970-01-01T00:05:00Z"
    assert why([report(300_000, "other")], [50_000, 200_000, 300_000]) == expected


def test_no_prune_since_the_state_is_recorded() -> None:
    assert why([], [99 * SECOND]) == "no rwm prune since then is recorded"


def test_whole_states_are_not_explained_and_numbers_are_named() -> None:
    assert explain_missing([STATE], {}, [], []) == {}
    (found,) = explain_missing([STATE], {STATE.id: 3}, [], []).values()
    assert found.describe(STATE).startswith("state abababababab: 3 of its 12 versions are not in the bucket: no ")
