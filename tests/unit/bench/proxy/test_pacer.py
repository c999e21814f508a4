"""The times at which bytes arrive over a link with a rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.proxy.wire import PIECE, Pacer


def test_the_pacer_adds_up_the_time_of_bytes() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    assert [pacer.due(100, 10.0) for _ in range(3)] == pytest.approx([10.1, 10.2, 10.3])


def test_a_late_wake_up_is_caught_up() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    assert [pacer.due(100, now) for now in (10.0, 10.15, 10.23)] == pytest.approx([10.1, 10.2, 10.3])


def test_a_long_delay_is_caught_up_only_in_part() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    assert pacer.due(100, 20.0) == pytest.approx(20.0 - Pacer.SLACK + 0.1)


def test_idle_time_between_messages_is_not_caught_up() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    pacer.due(100, 10.0)
    pacer.begin(10.15)
    assert pacer.due(100, 10.15) == pytest.approx(10.25)


def test_a_message_waits_for_the_previous_one() -> None:
    pacer = Pacer(1000)
    pacer.begin(10.0)
    pacer.due(1000, 10.0)
    pacer.begin(10.5)
    assert pacer.due(100, 10.5) == pytest.approx(11.1)


@given(st.floats(1e3, 1e9), st.lists(st.tuples(st.integers(1, PIECE), st.floats(0, Pacer.SLACK * 0.9)), min_size=1))
def test_small_delays_do_not_accumulate(rate: float, steps: list[tuple[int, float]]) -> None:
    pacer, now, total = Pacer(rate), 100.0, 0
    pacer.begin(now)
    for size, late in steps:
        due = pacer.due(size, now)
        total += size
        assert due == pytest.approx(100.0 + total / rate)
        if due > now:
            now = due + late


@pytest.mark.parametrize(("rate", "piece"), [(100.0, 1024), (1e6, 20_000), (12e6, PIECE), (1e9, PIECE)])
def test_pieces_are_small_on_a_slow_link(rate: float, piece: int) -> None:
    assert Pacer(rate).piece == piece
