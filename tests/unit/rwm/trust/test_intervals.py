"""Intervals of whole seconds, against a set of seconds."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from rwm.times import SECOND
from rwm.trust import intervals
from rwm.trust.intervals import FOREVER, Intervals

TIMES = st.integers(0, 30_000)
PAIRS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair))), max_size=12)


def make(pairs: list[tuple[int, int]]) -> Intervals:
    result = Intervals()
    for start, end in pairs:
        result.add(start, end)
    return result


def seconds(pairs: list[tuple[int, int]]) -> set[int]:
    return {second for start, end in pairs for second in range(start // 1000, end // 1000 + 1)}


@given(PAIRS, TIMES, st.sampled_from([1, 3, 50_000]))
def test_contains_the_seconds_that_were_added(pairs: list[tuple[int, int]], time: int, compact: int) -> None:
    with patch.object(intervals, "_COMPACT_AFTER", compact):
        held = make(pairs)
    expected = seconds(pairs)
    assert (time in held) == (time // 1000 in expected)
    found = held.at(time)
    if found:
        assert found[0] <= time <= found[1]
        assert found[0] // 1000 - 1 not in expected
        assert found[1] // 1000 + 1 not in expected


@given(PAIRS)
def test_intervals_are_disjoint_and_sorted(pairs: list[tuple[int, int]]) -> None:
    held = make(pairs)
    found = list(held)
    assert len(held) == len(found)
    assert {second for start, end in found for second in range(start // 1000, end // 1000 + 1)} == seconds(pairs)
    assert all(before[1] + 1000 < after[0] for before, after in pairwise(found))


@given(PAIRS, TIMES)
def test_find_gives_the_number_of_the_interval(pairs: list[tuple[int, int]], time: int) -> None:
    held = make(pairs)
    assert held.find(time) == next((n for n, (start, end) in enumerate(held) if start <= time <= end), -1)


@given(PAIRS, st.integers(1, 5))
def test_the_smallest_gaps_are_closed_when_there_are_too_many(pairs: list[tuple[int, int]], limit: int) -> None:
    with patch.object(intervals, "MAX_DISJOINT", limit):
        held = make(pairs)
        found = list(held)
    exact = list(make(pairs))
    assert len(found) <= limit
    assert all(any(start <= first and last <= end for start, end in found) for first, last in exact)
    assert {start for start, _ in found} <= {start for start, _ in exact}
    closed = [before[1] for before, after in pairwise(exact) if before[1] not in {end for _, end in found}]
    assert held.closed_since == (min(closed) // 1000 * 1000 if closed else FOREVER)


def test_merging_takes_no_object_for_each_interval() -> None:
    count = 50_000
    times = list(range(0, count * 10 * SECOND, 10 * SECOND))
    random.Random(1).shuffle(times)
    with patch.object(intervals, "_COMPACT_AFTER", 100):
        tracemalloc.start()
        found = Intervals()
        for time in times:
            found.add(time, time)
        assert len(found) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 70 * count
