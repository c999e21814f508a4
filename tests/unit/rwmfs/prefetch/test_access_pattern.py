"""Whether the last objects were read whole."""

from __future__ import annotations

import pytest

from rwmfs.prefetch.access_pattern import HISTORY, WHOLE_FRACTION, AccessPattern


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
        ([0] * 100 + [1] * (HISTORY - 1), True),
        ([1] * 100 + [0, 0], False),
        ([WHOLE_FRACTION, WHOLE_FRACTION], True),
        ([WHOLE_FRACTION - 0.01, WHOLE_FRACTION - 0.01], False),
        ([3, 3], True),
    ],
)
def test_the_last_few_objects_decide(parts: list[float], whole: bool) -> None:
    pattern = AccessPattern()
    for part in parts:
        pattern.record_close(1000, int(part * 1000))
    assert pattern.reads_whole is whole
