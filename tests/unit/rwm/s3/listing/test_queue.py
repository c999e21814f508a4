"""Results of functions that run in threads."""

from __future__ import annotations

import threading

import pytest

from rwm.errors import NotFound, S3Error
from rwm.s3.listing.queue import map_in_threads


def test_results_are_in_the_order_of_the_items_and_errors_are_among_them() -> None:
    def half(number: int) -> int:
        if number % 2:
            raise NotFound(f"{number} is odd")
        return number // 2

    counted: list[int] = []
    found = map_in_threads(half, range(9, -1, -1), 3, counted.append)
    assert list(found) == list(range(9, -1, -1))
    assert [found[number] for number in (8, 4, 0)] == [4, 2, 0]
    error = found[3]
    assert isinstance(error, S3Error)
    assert error.message == "3 is odd"
    assert sum(counted) == 10


def test_several_run_at_once_but_no_more_than_allowed() -> None:
    together = threading.Barrier(3, timeout=30)
    running: set[int] = set()
    most = 0

    def meet(number: int) -> None:
        nonlocal most
        running.add(number)
        most = max(most, len(running))
        together.wait()
        running.discard(number)

    map_in_threads(meet, range(9), 3)
    assert most <= 3


def test_other_errors_are_raised() -> None:
    def fail(_: int) -> None:
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        map_in_threads(fail, [1], 2)
