"""Sets of seconds as sorted intervals. Pure.

Whole seconds, because some servers know no more: what happens in the second in which an interval begins or ends is
within it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from rwm.times import SECOND

FOREVER = 1 << 47
"""Milliseconds: later than every time."""

_COMPACT_AFTER = 50_000
"""Added intervals after which all are merged, so that memory grows with the disjoint ones only."""


class Intervals:
    """Intervals of time, merged where they overlap or touch. Times are in milliseconds, ends are inclusive."""

    def __init__(self) -> None:
        self._starts = array("q")
        self._ends = array("q")
        self._added: list[tuple[int, int]] = []

    def add(self, start: int, end: int) -> None:
        """Add the seconds from that of ``start`` to that of ``end``."""
        self._added.append((start // SECOND, end // SECOND))
        if len(self._added) >= _COMPACT_AFTER:
            self._merge()

    def _merge(self) -> None:
        if not self._added:
            return
        starts, ends = array("q"), array("q")
        for start, end in sorted([*zip(self._starts, self._ends, strict=True), *self._added]):
            if ends and start <= ends[-1] + 1:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        self._starts, self._ends, self._added = starts, ends, []

    def __len__(self) -> int:
        self._merge()
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(first millisecond, last millisecond) of each interval, in order."""
        self._merge()
        for start, end in zip(self._starts, self._ends, strict=True):
            yield start * SECOND, end * SECOND + SECOND - 1

    def at(self, time: int) -> tuple[int, int] | None:
        """The interval that contains the time, None without one."""
        self._merge()
        position = bisect_right(self._starts, time // SECOND) - 1
        if position < 0 or self._ends[position] < time // SECOND:
            return None
        return self._starts[position] * SECOND, self._ends[position] * SECOND + SECOND - 1

    def __contains__(self, time: int) -> bool:
        return self.at(time) is not None

    def position(self, time: int) -> int:
        """The number of the interval that contains the time, or of the next one."""
        self._merge()
        position = bisect_right(self._starts, time // SECOND) - 1
        return position if position >= 0 and self._ends[position] >= time // SECOND else position + 1
