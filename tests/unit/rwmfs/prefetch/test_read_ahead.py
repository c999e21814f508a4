"""How far to read ahead: as much again as a run has read, and nothing for reads that follow no other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.prefetch.read_ahead import CREDIT, SLACK, Readahead

KIB = 1024
LIMIT = 16 * CREDIT

reads = st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(1, 4 * CREDIT)), max_size=30)


@settings(deadline=None)
@given(st.sampled_from([0, CREDIT // 4, LIMIT]), reads)
def test_what_is_asked_for_is_wanted_and_never_much_more(limit: int, asked: list[tuple[int, int]]) -> None:
    readahead = Readahead(limit)
    for start, size in asked:
        until = readahead.wanted(start, start + size)
        assert start + size <= until <= start + size + limit + SLACK


@settings(deadline=None)
@given(st.integers(0, 1 << 20), st.lists(st.integers(1, CREDIT), min_size=2, max_size=60), st.integers(0, LIMIT))
def test_along_a_run_it_never_goes_back_and_is_at_most_what_the_run_has_read(
    begin: int, steps: list[int], limit: int
) -> None:
    readahead, start, before = Readahead(limit), begin, 0
    for number, size in enumerate(steps):
        follows = readahead.follows(start)
        assert follows == (number > 0 or begin == 0)
        stop = start + size
        until = readahead.wanted(start, stop)
        assert until >= before
        assert until - stop <= min(limit, max(stop - begin, 0 if begin else CREDIT))
        start, before = stop, until


def test_a_long_run_is_read_ahead_to_the_limit_in_leaps() -> None:
    readahead = Readahead(LIMIT)
    wanted = [readahead.wanted(start, start + 128 * KIB) for start in range(0, 100 * CREDIT, 128 * KIB)]
    assert wanted[0] == 128 * KIB + CREDIT
    assert 100 * CREDIT + LIMIT // 2 <= wanted[-1] <= 100 * CREDIT + LIMIT
    assert len(set(wanted)) < 30


def test_neighbours_in_any_order_are_a_run() -> None:
    readahead = Readahead(LIMIT)
    for number in (0, 2, 1, 3, 5, 4, 7, 6):
        readahead.wanted(number * 128 * KIB, (number + 1) * 128 * KIB)
    assert readahead.wanted(CREDIT, CREDIT + 1) > CREDIT + 1


def test_a_read_elsewhere_gets_what_it_asks_for_and_ends_the_run() -> None:
    readahead = Readahead(LIMIT)
    for start in range(0, 4 * CREDIT, CREDIT):
        readahead.wanted(start, start + CREDIT)
    assert not readahead.follows(50 * CREDIT)
    assert readahead.wanted(50 * CREDIT, 50 * CREDIT + 1) == 50 * CREDIT + 1
    assert readahead.wanted(90 * CREDIT, 90 * CREDIT + 1) == 90 * CREDIT + 1
    assert readahead.follows(90 * CREDIT + 1)
