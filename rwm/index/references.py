"""Which states reference which versions of a key."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rwm.index.connection import errors
from rwm.index.directories import DirectoryFinder
from rwm.index.packed import Packed, pack, unpack
from rwm.model import Entry
from rwm.names import split_key

_MOST_ROWS = 512
"""Rows that are read at once, while keys come in their order."""

_Row = tuple[Packed, int, Packed, int, int, int]
_ROWS = "SELECT version_id, size, etag, last_modified, since, until FROM version WHERE directory = ? AND name = ?"
_PAGE = (
    "SELECT name, version_id, size, etag, last_modified, since, until FROM version "
    "WHERE directory = ? AND name >= ? ORDER BY name, since LIMIT ?"
)


@dataclass
class _Page:
    """All rows of a directory's names from ``first`` to ``last``, or to its end without ``last``, in SQLite's order."""

    directory: int
    first: tuple[bool, Packed]
    last: tuple[bool, Packed] | None
    rows: dict[Packed, list[_Row]]
    hits: int = 0

    def has(self, directory: int, place: tuple[bool, Packed]) -> bool:
        return directory == self.directory and self.first <= place and (self.last is None or place <= self.last)

    @property
    def is_used(self) -> bool:
        return 2 * self.hits >= len(self.rows)


class References:
    """The versions of keys in the states of one location, numbered from 0, oldest first. Fastest in key order."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, bucket: int, prefix: str, moments: list[int]
    ) -> None:
        self._connection = connection
        self._path = path
        self._prefix = prefix
        self._moments = moments
        self._directories = DirectoryFinder(connection, bucket)
        self._page: _Page | None = None
        self._limit = 1  # rows of the next page

    def of(self, key: str) -> list[tuple[Entry, range]]:
        """(entry, numbers of the states that have it) for every version of ``key`` in any state of the location."""
        if not key.startswith(self._prefix):
            return []
        path, name = split_key(key)
        with errors(self._path):
            rows = self._rows(self._directories.id(path), pack(name))
        return [
            (Entry(key, unpack(version), size, unpack(etag), last_modified), numbers)
            for version, size, etag, last_modified, since, until in rows
            if (numbers := range(self._number(since), self._number(until)))  # none: in states of other locations only
        ]

    def _rows(self, directory: int, name: Packed) -> list[_Row]:
        """The rows of a name. A query for each would be most of what a comparison costs."""
        place = isinstance(name, bytes), name  # SQLite sorts all TEXT before all BLOBs
        page = self._page
        if page is None or not page.has(directory, place):
            used = page is None or page.is_used
            self._limit = min(2 * self._limit, _MOST_ROWS) if used else max(1, self._limit // 2)
            page = self._page = self._read(directory, name, place)
        page.hits += 1
        return page.rows.get(name, [])

    def _read(self, directory: int, name: Packed, place: tuple[bool, Packed]) -> _Page:
        """The rows of a name and of those that follow it."""
        found = self._connection.execute(_PAGE, (directory, name, self._limit)).fetchall()
        rows: dict[Packed, list[_Row]] = {}
        for each, *row in found:
            rows.setdefault(each, []).append(cast("_Row", row))
        if len(found) < self._limit:
            return _Page(directory, place, None, rows)
        if len(rows) > 1:
            rows.popitem()  # of the last name there may be more
            last = next(reversed(rows))
            return _Page(directory, place, (isinstance(last, bytes), last), rows)
        return _Page(directory, place, place, {name: self._connection.execute(_ROWS, (directory, name)).fetchall()})

    def _number(self, moment: int) -> int:
        return bisect_left(self._moments, moment)
