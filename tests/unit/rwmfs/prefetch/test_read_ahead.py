"""Read-ahead: as many bytes as the run has read, none for random reads."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.prefetch.read_ahead import INITIAL_READ_AHEAD, SLACK, ReadAhead

KIB = 1024
LIMIT = 16 * INITIAL_READ_AHEAD

reads = st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(1, 4 * INITIAL_READ_AHEAD)), max_size=30)
steps = st.lists(st.integers(1, INITIAL_READ_AHEAD), min_size=2, max_size=60)


@settings(deadline=None)
@given(st.sampled_from([0, INITIAL_READ_AHEAD // 4, LIMIT]), reads)
def test_the_end_covers_the_read_and_is_bounded(limit: int, asked: list[tuple[int, int]]) -> None:
    read_ahead = ReadAhead(limit)
    for start, size in asked:
        until = read_ahead.advance(start, start + size)
        assert start + size <= until <= start + size + limit + SLACK


@settings(deadline=None)
@given(
    st.integers(0, 1 << 20),
    st.lists(st.integers(1, INITIAL_READ_AHEAD), min_size=2, max_size=60),
    st.integers(0, LIMIT),
)
def test_along_a_run_the_end_never_moves_back(begin: int, steps: list[int], limit: int) -> None:
    read_ahead, start, before = ReadAhead(limit), begin, 0
    for number, size in enumerate(steps):
        is_sequential = read_ahead.is_sequential(start)
        assert is_sequential == (number > 0 or begin == 0)
        stop = start + size
        until = read_ahead.advance(start, stop)
        assert until >= before
        assert until - stop <= min(limit, max(stop - begin, 0 if begin else INITIAL_READ_AHEAD))
        start, before = stop, until


def test_a_long_run_reaches_the_limit_in_few_steps() -> None:
    read_ahead = ReadAhead(LIMIT)
    ends = [read_ahead.advance(start, start + 128 * KIB) for start in range(0, 100 * INITIAL_READ_AHEAD, 128 * KIB)]
    assert ends[0] == 128 * KIB + INITIAL_READ_AHEAD
    assert 100 * INITIAL_READ_AHEAD + LIMIT // 2 <= ends[-1] <= 100 * INITIAL_READ_AHEAD + LIMIT
    assert len(set(ends)) < 30


def test_neighbours_out_of_order_are_a_run() -> None:
    read_ahead = ReadAhead(LIMIT)
    for number in (0, 2, 1, 3, 5, 4, 7, 6):
        read_ahead.advance(number * 128 * KIB, (number + 1) * 128 * KIB)
    assert read_ahead.advance(INITIAL_READ_AHEAD, INITIAL_READ_AHEAD + 1) > INITIAL_READ_AHEAD + 1


def test_a_random_read_gets_no_read_ahead_and_ends_the_run() -> None:
    read_ahead = ReadAhead(LIMIT)
    for start in range(0, 4 * INITIAL_READ_AHEAD, INITIAL_READ_AHEAD):
        read_ahead.advance(start, start + INITIAL_READ_AHEAD)
    assert not read_ahead.is_sequential(50 * INITIAL_READ_AHEAD)
    assert read_ahead.advance(50 * INITIAL_READ_AHEAD, 50 * INITIAL_READ_AHEAD + 1) == 50 * INITIAL_READ_AHEAD + 1
    assert read_ahead.advance(90 * INITIAL_READ_AHEAD, 90 * INITIAL_READ_AHEAD + 1) == 90 * INITIAL_READ_AHEAD + 1
    assert read_ahead.is_sequential(90 * INITIAL_READ_AHEAD + 1)
