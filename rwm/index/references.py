"""Which states reference which versions of a key."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from pathlib import Path

from rwm.index.connection import errors
from rwm.index.directories import find_directory
from rwm.index.packed import pack, unpack
from rwm.model import Entry
from rwm.names import split_key


class References:
    """The versions of keys in the states of one location, numbered from 0, oldest first. Fastest in key order."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, bucket: int, prefix: str, moments: list[int]
    ) -> None:
        self._connection = connection
        self._path = path
        self._bucket = bucket
        self._prefix = prefix
        self._moments = moments
        self._directory: tuple[str, int] | None = None

    def of(self, key: str) -> list[tuple[Entry, range]]:
        """(entry, numbers of the states that have it) for every version of ``key`` in any state of the location."""
        if not key.startswith(self._prefix):
            return []
        path, name = split_key(key)
        with errors(self._path):
            rows = self._connection.execute(
                "SELECT version_id, size, etag, last_modified, since, until FROM version "
                "WHERE directory = ? AND name = ?",
                (self._find(path), pack(name)),
            ).fetchall()
        return [
            (Entry(key, unpack(version), size, unpack(etag), last_modified), numbers)
            for version, size, etag, last_modified, since, until in rows
            if (numbers := range(self._number(since), self._number(until)))  # none: in states of other locations only
        ]

    def _number(self, moment: int) -> int:
        return bisect_left(self._moments, moment)

    def _find(self, path: str) -> int:
        """The id of the directory's row. The last one is cached."""
        if self._directory is None or path != self._directory[0]:
            self._directory = (path, find_directory(self._connection, self._bucket, path))
        return self._directory[1]
