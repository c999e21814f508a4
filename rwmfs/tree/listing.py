"""Directory listings with stable positions, for readdir. Pure.

A position is the rank of a name in its directory. ``read(position)`` yields (next position, entry) pairs.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from rwmfs.tree.contents import LOCKS, Contents, DirEntry


class Listing:
    """A directory of a state, read in pages.

    The directory is immutable, so the name at a rank never changes. Seeking back reads one page, from the nearest
    page start seen so far. ``first`` is the rank of the first name: 1 where the caller puts the ``locks`` in memory
    before the names, otherwise 0.
    """

    PAGE = 1000

    def __init__(self, contents: Contents, directory: int) -> None:
        self.directory = directory
        self.first = int(contents.has_locks(directory))
        self._contents = contents
        self._starts = [self.first]
        self._afters = [""]
        self._page_start = self.first
        self._page: Sequence[DirEntry] = ()

    def read(self, position: int) -> Iterator[tuple[int, DirEntry]]:
        """Entries from a rank (``first`` or more) on, without ``locks`` where that is in memory."""
        while page := self._page_at(position):
            for entry in page[position - self._page_start :]:
                position += 1
                if not (self.first and entry.name == LOCKS):
                    yield position, entry

    def _page_at(self, position: int) -> Sequence[DirEntry]:
        """The page that holds a rank; empty beyond the last name."""
        if self._page_start <= position < self._page_start + len(self._page):
            return self._page
        nearest = bisect_right(self._starts, position) - 1
        while True:
            start, after = self._starts[nearest], self._afters[nearest]
            page = self._contents.children(self.directory, after, self.PAGE)
            if not page or position < start + len(page):
                self._page_start, self._page = start, page
                return page
            nearest += 1
            if nearest == len(self._starts):
                self._starts.append(start + len(page))
                self._afters.append(page[-1].name)


class LiveListing:
    """A directory above the states, where names come and go: a snapshot, taken whenever it is read from its start."""

    first = 0

    def __init__(self, contents: Contents, directory: int) -> None:
        self.directory = directory
        self._contents = contents
        self._entries: Sequence[DirEntry] | None = None

    def read(self, position: int) -> Iterator[tuple[int, DirEntry]]:
        """Entries from a rank on."""
        if position == 0 or self._entries is None:
            self._entries = self._contents.children(self.directory, limit=sys.maxsize)
        yield from enumerate(self._entries[position:], position + 1)
