"""How far to read ahead of one reader of one object. Pure: counts blocks, fetches nothing.

Reads that follow each other (give or take a little, because the kernel sends neighbouring requests in parallel) make a
run. A run that began at the start of the object, or has a block behind it, is sequential: what is fetched ahead of it
doubles from one window up to the limit. Any other read begins a new run and fetches exactly the blocks it asks for.
The end of what is fetched ahead moves by whole windows, so that a sequential reader costs few, large requests.
"""

from __future__ import annotations

from rwmfs.cache import BLOCK

WINDOW = 4
"""Blocks of one GET at most."""

SLACK = BLOCK
"""Bytes by which a read may miss the end of its run and still belong to it."""


class Readahead:
    """The run of one open file. ``limit`` is how many blocks may be fetched ahead of it."""

    __slots__ = ("_ahead", "_double_at", "_end", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._start = self._end = 0
        self._ahead = 0
        self._double_at = 0

    def wanted(self, start: int, stop: int, blocks: int) -> int:
        """For a read of the bytes ``start`` to ``stop`` (exclusive) of an object of ``blocks`` blocks: where to end.

        The number of the block after the last one to fetch; at least what the read itself needs.
        """
        last = (stop - 1) // BLOCK + 1
        fresh = self._end == 0 and start > 0
        if fresh or abs(start - self._end) > SLACK:
            self._start, self._end = start, stop
            self._ahead = self._double_at = 0
        else:
            self._end = max(self._end, stop)
        if self._start > 0 and self._end - self._start < BLOCK:
            return last
        if last > self._double_at:
            self._ahead = min(max(WINDOW, 2 * self._ahead), self.limit)
            self._double_at = last + self._ahead // 2
        ahead = last + self._ahead
        return min(max(last, ahead - ahead % WINDOW), blocks)
