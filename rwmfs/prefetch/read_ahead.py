"""How far to read ahead of one handle. Pure: computes offsets, fetches nothing.

Sequential reads form a run; they may arrive slightly out of order, because the kernel sends neighbouring requests in
parallel. The read-ahead grows with the run: as many bytes as the run has read, up to a limit. A run from the start of
an object begins with an initial read-ahead. A read that continues no run gets no read-ahead.
"""

from __future__ import annotations

INITIAL_READ_AHEAD = 1 << 20
"""Bytes ahead of the first read at the start of an object."""

SLACK = 1 << 20
"""Bytes by which a read may miss the end of the run and still continue it."""


class ReadAhead:
    """The run of one handle. The reader calls it once for each read, in the trio thread."""

    __slots__ = ("_begin", "_end", "_until", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes ahead of the run at most."""
        self._begin = self._end = 0  # of the run, as offsets in the object; _end is exclusive
        self._until = 0  # where the read-ahead ends, exclusive

    def is_sequential(self, start: int) -> bool:
        """Whether a read from ``start`` on continues the run; for a first read, whether it is at the object's start."""
        return abs(start - self._end) <= SLACK if self._end else start == 0

    def advance(self, start: int, stop: int) -> int:
        """Record a read of the bytes ``start`` to ``stop`` (exclusive); return up to where to fetch, at least ``stop``.

        The result moves in steps of at least half the read-ahead, so that a run causes few requests.
        """
        if self.is_sequential(start):
            self._end = max(self._end, stop)
        else:
            self._begin, self._end, self._until = start, stop, stop
        length = self._end - self._begin
        initial = INITIAL_READ_AHEAD if self._begin == 0 else 0
        ahead = min(max(length, initial), self.limit) if initial or length > stop - start else 0
        if self._until - self._end < ahead // 2:
            self._until = self._end + ahead
        return max(self._until, stop)
