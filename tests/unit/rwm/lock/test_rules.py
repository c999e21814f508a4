"""Until when versions are locked, and what that costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.lock.rules import MAX_AHEAD, LockTiming, find_gap, next_retention, states_kept_until
from rwm.model import Retention, StateInfo
from rwm.times import DAY, HOUR, SECOND
from rwm.trust import KeepPolicy
from tests.keeping import keep_last

NOW = 1_700_000_000_000
TIMING = LockTiming(NOW, DAY, 10 * DAY)


def make_states(*times: int) -> list[StateInfo]:
    return [StateInfo(f"{n:064x}", "bucket1", time, "capture", 1, 1) for n, time in enumerate(times)]


def days(key: str, runs: int, *, every: int = DAY, step: int = 10 * DAY, ahead: int = 30 * DAY) -> int:
    """The number of requests for a version that stays current while locks are renewed ``runs`` times."""
    current, requests = None, 0
    for run in range(runs):
        timing = LockTiming(NOW + run * (every + SECOND), every, step)
        wanted = next_retention(key, timing.now + ahead, current, "governance", timing)
        if wanted is not None:
            requests += 1
            assert current is None or wanted.until > current.until
            current = wanted
        assert current is not None and current.until >= timing.now + ahead
    return requests


def test_a_version_costs_at_most_a_tenth_of_a_request_in_each_run() -> None:
    """Extended to what is needed in each daily run, it would cost one each time."""
    keys = [f"data/{n:02x}/{n}" for n in range(200)]
    requests = sum(days(key, 200) for key in keys)
    assert requests <= len(keys) * 200 / 10
    assert days("config", 2000) <= 2000 / 10


def test_versions_of_one_day_become_due_on_different_days() -> None:
    firsts = [next_retention(f"data/{n}", NOW + DAY, None, "governance", TIMING) for n in range(500)]
    ends = {(found.until - NOW) // DAY for found in firsts if found is not None}
    assert len(ends) == 10 and min(ends) >= 1 and max(ends) <= 11


@given(
    key=st.text(max_size=5),
    need=st.integers(1, 100 * DAY),
    current=st.none() | st.builds(Retention, st.sampled_from(["governance", "compliance"]), st.integers(0, 100 * DAY)),
    now=st.integers(0, 50 * DAY),
)
def test_a_lock_is_only_extended_and_suffices(key: str, need: int, current: Retention | None, now: int) -> None:
    found = next_retention(key, need, current, "governance", LockTiming(now, DAY, 10 * DAY))
    if found is None:
        assert current is not None and current.until >= need
        return
    assert found.until >= need and found.until % SECOND == 0
    assert found.until <= need + 11 * DAY + SECOND
    if current is not None:
        assert found.until > current.until
        assert found.mode == (current.mode if current.until > now else "governance"), "no server changes the mode"


@pytest.mark.parametrize(
    ("every", "default", "gap"),
    [
        (DAY, None, False),
        (DAY, 2 * DAY, False),
        (DAY, DAY, True),  # the run after a failed one would come too late
        (7 * DAY, 30 * DAY, False),
        (20 * DAY, 30 * DAY, True),
        (300 * DAY, None, True),
    ],
)
def test_an_interval_that_leaves_a_gap_is_named(every: int, default: int | None, gap: bool) -> None:
    assert (find_gap(LockTiming(NOW, every, 10 * DAY), default) is not None) == gap


def test_a_gap_is_told_in_days() -> None:
    found = find_gap(LockTiming(NOW, DAY, 10 * DAY), DAY)
    assert found is not None
    assert found.startswith("new versions are locked for 1 day, and")


class TestStatesKeptUntil:
    def test_by_the_rules_if_states_come_as_often_as_now(self) -> None:
        states = make_states(*(NOW - n * DAY for n in reversed(range(6))))
        found = states_kept_until(states, keep_last(4), lambda info: True, TIMING)
        assert [found.get(info.id, 0) - NOW for info in states] == [
            -NOW, -NOW, 2 * DAY, 2 * DAY, 3 * DAY, 4 * DAY,
        ]  # fmt: skip

    def test_until_the_run_after_the_next_one_at_least(self) -> None:
        """The rules would drop both within an hour, if states came on."""
        states = make_states(NOW - HOUR, NOW)
        assert set(states_kept_until(states, keep_last(2), lambda info: True, TIMING).values()) == {TIMING.covered}

    def test_states_that_ceased_to_come_are_covered(self) -> None:
        states = make_states(*(NOW - 300 * DAY - n * DAY for n in reversed(range(3))))
        found = states_kept_until(states, keep_last(3), lambda info: True, TIMING)
        assert [until - NOW for until in found.values()] == [2 * DAY, 2 * DAY, 2 * DAY]

    def test_states_that_ceased_to_come_are_kept_as_if_the_next_came_now(self) -> None:
        """Not as if all that were missed had come: the rules drop none of them before that many come from now on."""
        states = make_states(*(NOW - 300 * DAY - n * DAY for n in reversed(range(3))))
        found = states_kept_until(states, keep_last(8), lambda info: True, TIMING)
        assert [until - NOW for until in found.values()] == [5 * DAY, 6 * DAY, 7 * DAY]

    def test_not_more_than_a_limit_ahead(self) -> None:
        states = make_states(NOW)
        (until,) = states_kept_until(states, KeepPolicy({"within": "2y"}), lambda info: True, TIMING).values()
        assert until == NOW + MAX_AHEAD

    def test_what_is_not_clean_is_covered_until_it_is_judged(self) -> None:
        states = make_states(NOW - 2 * DAY, NOW - DAY, NOW)
        found = states_kept_until(states, keep_last(1), lambda info: info is not states[0], TIMING)
        assert found == {states[0].id: TIMING.covered, states[2].id: TIMING.covered}
        assert states_kept_until(states, keep_last(1), lambda info: False, TIMING) == dict.fromkeys(
            (info.id for info in states), TIMING.covered
        )

    def test_no_states(self) -> None:
        assert states_kept_until([], keep_last(1), lambda info: True, TIMING) == {}
