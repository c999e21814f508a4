"""Intervals of whole seconds, against a set of seconds."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from rwm.trust import intervals
from rwm.trust.intervals import Intervals

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
def test_position_counts_the_intervals_before(pairs: list[tuple[int, int]], time: int) -> None:
    held = make(pairs)
    assert held.position(time) == sum(end < time for _, end in held)
