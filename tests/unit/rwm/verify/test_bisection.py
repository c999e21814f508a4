"""Bisection: the newest passing state is found, with few checks, from any results that are there already."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import StateInfo
from rwm.verify.bisection import Outcome, bisect_states


def states(count: int) -> list[StateInfo]:
    return [StateInfo(f"{n:064x}", "bucket1", n * 1000, "capture", 1, 1) for n in range(count)]


class Checker:
    """A check that passes on states before the first bad one, and counts its calls."""

    def __init__(self, first_bad: int, failure: Outcome = "failed") -> None:
        self.first_bad = first_bad
        self.failure: Outcome = failure
        self.calls: list[int] = []

    def outcome(self, number: int) -> Outcome:
        return "passed" if number < self.first_bad else self.failure

    def __call__(self, info: StateInfo) -> Outcome:
        number = info.captured_at // 1000
        assert number not in self.calls
        self.calls.append(number)
        return self.outcome(number)


def test_every_number_of_states_and_every_first_bad_one() -> None:
    for count in range(1, 70):
        for first_bad in range(count + 1):
            checker = Checker(first_bad)
            found = bisect_states(states(count), {}, checker)
            assert found.newest_passing == (states(count)[first_bad - 1] if first_bad else None)
            assert found.oldest_failing == (states(count)[first_bad] if first_bad < count else None)
            assert len(checker.calls) <= ceil(log2(count)) + 1
            assert not found.contradicts_assumption


@given(data=st.data(), count=st.integers(1, 200))
def test_known_results_save_checks_and_do_not_change_the_result(data: st.DataObject, count: int) -> None:
    checker = Checker(data.draw(st.integers(0, count)))
    numbers = data.draw(st.sets(st.integers(0, count - 1)))
    known = {f"{n:064x}": checker.outcome(n) for n in numbers}
    found = bisect_states(states(count), known, checker)
    assert found.newest_passing == (states(count)[checker.first_bad - 1] if checker.first_bad else None)
    assert not numbers & set(checker.calls)
    assert len(checker.calls) <= ceil(log2(count)) + 1


@given(data=st.data(), count=st.integers(1, 200))
def test_an_interrupted_search_goes_on(data: st.DataObject, count: int) -> None:
    """However often it is interrupted, no state is checked twice and the result is the same."""
    checker = Checker(data.draw(st.integers(0, count)))
    known: dict[str, Outcome] = {}

    class Interrupted(Exception):
        pass

    def check(info: StateInfo) -> Outcome:
        if data.draw(st.booleans()):
            raise Interrupted
        known[info.id] = checker(info)
        return known[info.id]

    for _ in range(50):
        try:
            bisect_states(states(count), dict(known), check)
        except Interrupted:
            continue
        break
    found = bisect_states(states(count), known, checker)
    assert found.newest_passing == (states(count)[checker.first_bad - 1] if checker.first_bad else None)
    assert len(checker.calls) <= ceil(log2(count)) + 1


def test_no_states() -> None:
    found = bisect_states([], {}, Checker(0))
    assert (found.newest_passing, found.oldest_failing, found.checks) == (None, None, [])


def test_a_crash_counts_as_failed_and_is_told_apart() -> None:
    found = bisect_states(states(2), {}, Checker(1, "crashed"))
    assert found.newest_passing == states(2)[0]
    assert [check.outcome for check in found.checks] == ["crashed", "passed"]


def test_an_older_failure_contradicts_the_assumption() -> None:
    known: dict[str, Outcome] = {f"{0:064x}": "failed", f"{2:064x}": "passed"}
    found = bisect_states(states(3), known, Checker(3))
    assert found.newest_passing == states(3)[2]
    assert found.contradicts_assumption
    assert found.oldest_failing is None
