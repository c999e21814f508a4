"""How far to read ahead of one reader of one object. Pure: counts bytes, fetches nothing.

Reads that follow each other (give or take a little, because the kernel sends neighbouring requests in parallel) make a
run. What is fetched ahead grows with the run: as much again as it has read so far, up to a limit. A run that starts
where the object starts gets a first bit on credit. Any other read that follows none gets just what it asks for.
"""

from __future__ import annotations

CREDIT = 1 << 20
"""Bytes ahead of a first read at the start of an object."""

SLACK = 1 << 20
"""Bytes by which a read may miss the end of its run and still belong to it."""


class Readahead:
    """The run of one open file. ``limit`` is how many bytes may be fetched ahead of it."""

    __slots__ = ("_begin", "_end", "_until", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._begin = self._end = self._until = 0

    def follows(self, start: int) -> bool:
        """Whether a read from ``start`` on would go on with the run. The first read does where the object starts."""
        return abs(start - self._end) <= SLACK if self._end else start == 0

    def wanted(self, start: int, stop: int) -> int:
        """For a read of the bytes ``start`` to ``stop`` (exclusive): where to end, ``stop`` or more.

        That moves by leaps of at least half of what is read ahead, so that a run costs few requests.
        """
        if self.follows(start):
            self._end = max(self._end, stop)
        else:
            self._begin, self._end, self._until = start, stop, stop
        behind = self._end - self._begin
        credit = CREDIT if self._begin == 0 else 0
        ahead = min(max(behind, credit), self.limit) if credit or behind > stop - start else 0
        if self._until - self._end < ahead // 2:
            self._until = self._end + ahead
        return max(self._until, stop)
