"""The size of requests follows the speed of the link."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.read.request_size import HITS, LEAST, MOST, TELLING, USUAL, Pace

MIB = 1 << 20


def paced(*answers: tuple[int, float]) -> Pace:
    pace = Pace()
    for size, seconds in answers:
        pace.came(size, seconds)
    return pace


BUSY = (12, 16)
"""Connections in use, and all of them."""


def test_nothing_known_is_nothing_special() -> None:
    assert Pace().window(0, 16) == USUAL


def test_a_slow_link_is_asked_for_little_at_a_time_and_for_more_where_connections_are_few() -> None:
    slow = paced((4 * MIB, 0.43))
    assert [slow.window(running, 16) for running in (0, 11, 12, 16)] == [LEAST, LEAST, USUAL, USUAL]
    assert slow.window(0, 1) == USUAL


def test_a_fast_link_is_asked_for_much_at_a_time() -> None:
    assert paced((4 * MIB, 0.01)).window(0, 16) == MOST
    assert paced((4 * MIB, 0.07)).window(0, 16) == 8 * MIB


def test_small_answers_tell_nothing() -> None:
    assert paced((TELLING - 1, 0.000001)).window(*BUSY) == USUAL


def test_a_link_that_gets_slow_is_noticed_after_a_few_answers() -> None:
    assert paced((4 * MIB, 0.01), *[(4 * MIB, 0.4)] * 12).window(*BUSY) == USUAL
    assert paced((4 * MIB, 0.01), (4 * MIB, 0.4)).window(*BUSY) == MOST


def test_while_all_is_on_disk_parts_are_large() -> None:
    pace = paced((4 * MIB, 0.43))
    for _ in range(HITS):
        assert not pace.from_disk()
        assert pace.window(0, 16) == LEAST
        pace.stored(TELLING)
        pace.stored(TELLING - 1)
    assert pace.from_disk()
    assert pace.window(0, 16) == MOST
    pace.came(TELLING - 1, 0.1)
    assert pace.from_disk(), "small objects tell nothing of large ones"
    pace.came(TELLING, 0.1)
    assert not pace.from_disk()
    assert pace.window(0, 16) == LEAST


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.floats(0, 1e6))), st.integers(0, 20), st.integers(1, 20))
def test_the_window_has_its_bounds(answers: list[tuple[int, float]], running: int, connections: int) -> None:
    window = paced(*answers).window(running, connections)
    assert LEAST <= window <= MOST
    assert window % LEAST == 0
