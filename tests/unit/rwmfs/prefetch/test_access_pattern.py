"""Whether objects are read from end to end lately."""

from __future__ import annotations

import pytest

from rwmfs.prefetch.access_pattern import LOOKED_AT, WHOLE, AccessPattern


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], False),
        ([1], False),
        ([1, 1], True),
        ([1, 0], False),
        ([1, 1, 0], True),
        ([1, 0, 0, 1], False),
        ([0, 1, 1, 1], True),
        ([0, 0, 1, 1], False),
        ([0] * 100 + [1] * (LOOKED_AT - 1), True),
        ([1] * 100 + [0, 0], False),
        ([WHOLE, WHOLE], True),
        ([WHOLE - 0.01, WHOLE - 0.01], False),
        ([3, 3], True),
    ],
)
def test_the_last_few_tell_what_to_expect(parts: list[float], whole: bool) -> None:
    habit = AccessPattern()
    for part in parts:
        habit.closed(1000, int(part * 1000))
    assert habit.reads_whole is whole
