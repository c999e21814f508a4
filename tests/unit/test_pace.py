"""The size of requests follows the speed of the link."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.pace import LEAST, MOST, TELLING, Pace

MIB = 1 << 20


def paced(*answers: tuple[int, float]) -> Pace:
    pace = Pace()
    for size, seconds in answers:
        pace.came(size, seconds)
    return pace


def test_nothing_known_is_a_slow_link() -> None:
    assert Pace().window == LEAST


def test_a_slow_link_is_asked_for_little_at_a_time() -> None:
    assert paced((4 * MIB, 0.43)).window == LEAST


def test_a_fast_link_is_asked_for_much_at_a_time() -> None:
    assert paced((4 * MIB, 0.01)).window == MOST
    assert paced((4 * MIB, 0.07)).window == 8 * MIB


def test_small_answers_tell_nothing() -> None:
    assert paced((TELLING - 1, 0.000001)).window == LEAST


def test_a_link_that_gets_slow_is_noticed_after_a_few_answers() -> None:
    assert paced((4 * MIB, 0.01), *[(4 * MIB, 0.4)] * 12).window == LEAST
    assert paced((4 * MIB, 0.01), (4 * MIB, 0.4)).window == MOST


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.floats(0, 1e6))))
def test_the_window_has_its_bounds(answers: list[tuple[int, float]]) -> None:
    window = paced(*answers).window
    assert LEAST <= window <= MOST
    assert window % LEAST == 0
