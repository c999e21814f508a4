"""Threads whose results come to the caller."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from rwm.errors import NotFound
from rwm.verify.parallel import map_in_threads


def test_each_item_has_one_outcome() -> None:
    def half(number: int) -> int:
        if number % 2:
            raise NotFound(str(number))
        return number // 2

    found = [one for outcomes in map_in_threads(half, iter(range(100)), 4) for one in outcomes]
    assert sorted(one.item for one in found) == list(range(100))
    assert all(one.error is None and one.result == one.item // 2 for one in found if one.item % 2 == 0)
    assert all(str(one.error) == str(one.item) for one in found if one.item % 2)


def test_items_are_read_a_few_ahead_in_the_calling_thread() -> None:
    taken: list[int] = []

    def items() -> object:
        for number in count():
            assert threading.current_thread() is caller
            taken.append(number)
            yield number

    caller = threading.current_thread()
    outcomes = map_in_threads(lambda number: number, items(), 3)  # type: ignore[arg-type, var-annotated]
    next(outcomes)
    assert len(taken) == 6
    outcomes.close()  # type: ignore[attr-defined]


def test_other_exceptions_are_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda number: 1 // number, iter([1, 0]), 2))


def test_several_run_at_a_time() -> None:
    barrier = threading.Barrier(4, timeout=60)
    assert sum(map(len, map_in_threads(lambda _: barrier.wait(), iter(range(4)), 4))) == 4
