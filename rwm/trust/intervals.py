"""Sets of seconds as sorted intervals. Pure.

Whole seconds, because some servers know no more: what happens in the second in which an interval begins or ends is
within it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from rwm.times import SECOND

FOREVER = 1 << 47
"""Milliseconds: later than every time."""

_COMPACT_AFTER = 50_000
"""Added intervals after which all are merged, so that memory grows with the disjoint ones only."""

MAX_DISJOINT = 250_000
"""Disjoint intervals above which the smallest gaps between them are closed: a lock an hour for 28 years."""

_PART = 4096  # intervals that are merged at a time

_BITS = 40  # of an end in seconds; a pair as one number takes a third of the memory of a tuple


class Intervals:
    """Intervals of time, merged where they overlap or touch. Times are in milliseconds, ends are inclusive."""

    def __init__(self) -> None:
        self._starts = array("q")
        self._ends = array("q")
        self._added: list[int] = []
        self._gap = 1
        """Intervals with so few seconds between them are joined."""
        self.closed_since = FOREVER
        """The oldest gap that was closed because there were too many intervals; FOREVER if none was."""

    def add(self, start: int, end: int) -> None:
        """Add the seconds from that of ``start`` to that of ``end``. There are none before 1970."""
        first, last = max(0, start // SECOND), max(0, end // SECOND)
        if self._starts and first >= self._starts[-1] and last <= self._ends[-1]:  # as of a flood up to now
            return
        self._added.append(_pack(first, last))
        if len(self._added) >= max(_COMPACT_AFTER, len(self._starts) // 4):
            self._merge()

    def _merge(self) -> None:
        if not self._added:
            return
        self._join(self._sorted())
        self._added = []
        while len(self._starts) > MAX_DISJOINT:
            self._gap *= 2
            self._join(map(_pack, self._starts, self._ends))

    def _sorted(self) -> Iterator[int]:
        """All as numbers, in order; few of them in memory at a time."""
        self._added.sort()
        position = 0
        for start in range(0, len(self._starts), _PART):
            part = list(map(_pack, self._starts[start : start + _PART], self._ends[start : start + _PART]))
            stop = bisect_right(self._added, part[-1])
            yield from sorted([*part, *self._added[position:stop]])
            position = stop
        yield from self._added[position:]

    def _join(self, pairs: Iterable[int]) -> None:
        """Replace all by these, which are sorted, with small gaps closed."""
        starts, ends = array("q"), array("q")
        last = -1 << _BITS
        for pair in pairs:
            start, end = pair >> _BITS, pair & (1 << _BITS) - 1
            if start <= last + self._gap:
                if start > last + 1:
                    self.closed_since = min(self.closed_since, last * SECOND)
                if end > last:
                    ends[-1] = last = end
            else:
                starts.append(start)
                ends.append(end)
                last = end
        self._starts, self._ends = starts, ends

    def __len__(self) -> int:
        self._merge()
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(first millisecond, last millisecond) of each interval, in order."""
        self._merge()
        for start, end in zip(self._starts, self._ends, strict=True):
            yield start * SECOND, end * SECOND + SECOND - 1

    def find(self, time: int) -> int:
        """The number of the interval that contains the time, -1 without one."""
        if self._added:
            self._merge()
        second = time // SECOND
        position = bisect_right(self._starts, second) - 1
        return position if position >= 0 and self._ends[position] >= second else -1

    def at(self, time: int) -> tuple[int, int] | None:
        """The interval that contains the time, None without one."""
        position = self.find(time)
        if position < 0:
            return None
        return self._starts[position] * SECOND, self._ends[position] * SECOND + SECOND - 1

    def overlaps(self, start: int, end: int) -> bool:
        """Whether an interval contains any second from that of ``start`` to that of ``end``."""
        self._merge()
        position = bisect_right(self._starts, end // SECOND) - 1
        return position >= 0 and self._ends[position] >= start // SECOND

    def __contains__(self, time: int) -> bool:
        return self.find(time) >= 0


def _pack(start: int, end: int) -> int:
    return start << _BITS | end
