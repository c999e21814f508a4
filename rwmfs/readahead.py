"""How far to read ahead of one reader of one object. Pure: counts blocks, fetches nothing.

Reads that follow each other (give or take a little, because the kernel sends neighbouring requests in parallel) make a
run. A run that starts where the object starts is taken for a reading of the whole: restic reads packs that way, and it
comes back to those that it reads in parts. A run from the middle has to show itself: with a block behind it a window
is fetched ahead, with a window behind it as much as for a whole. Any other read fetches the blocks that it asks for.

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

    __slots__ = ("_end", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._start = self._end = 0

    def wanted(self, start: int, stop: int, blocks: int) -> int:
        """For a read of the bytes ``start`` to ``stop`` (exclusive) of an object of ``blocks`` blocks: where to end.

        The number of the block after the last one to fetch; at least what the read itself needs.
        """
        first_read = self._end == 0
        if (first_read and start > 0) or abs(start - self._end) > SLACK:
            self._start, self._end = start, stop
        else:
            self._end = max(self._end, stop)
        last = (stop - 1) // BLOCK + 1
        ahead = last + self._ahead()
        return min(max(last, ahead - ahead % WINDOW), blocks)

    def _ahead(self) -> int:
        behind = self._end - self._start
        if self._start == 0 or behind >= WINDOW * BLOCK:
            return self.limit
        return min(WINDOW, self.limit) if behind >= BLOCK else 0
