"""Which states reference which versions of a key."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from pathlib import Path

from rwm.index.connection import errors
from rwm.index.packed import pack, unpack
from rwm.model import Entry
from rwm.names import split_key


class References:
    """The versions of keys in the states of one bucket, numbered from 0, oldest first. Fastest in key order."""

    def __init__(self, connection: sqlite3.Connection, path: Path, root: int, moments: list[int]) -> None:
        self._connection = connection
        self._path = path
        self._root = root
        self._moments = moments
        self._directory: tuple[str, int] = ("", root)

    def of(self, key: str) -> list[tuple[Entry, range]]:
        """(entry, numbers of the states that have it) for every version of ``key`` in any state."""
        path, name = split_key(key)
        with errors(self._path):
            rows = self._connection.execute(
                "SELECT version_id, size, etag, last_modified, since, until FROM version "
                "WHERE directory = ? AND name = ?",
                (self._find(path), pack(name)),
            ).fetchall()
        return [
            (
                Entry(key, unpack(version), size, unpack(etag), last_modified),
                range(self._number(since), self._number(until)),
            )
            for version, size, etag, last_modified, since, until in rows
        ]

    def _number(self, moment: int) -> int:
        return bisect_left(self._moments, moment)

    def _find(self, path: str) -> int:
        """The id of the directory's row, 0 if it has none. The last one is cached."""
        if path != self._directory[0]:
            self._directory = (path, find_directory(self._connection, self._root, path))
        return self._directory[1]


def root_directory(connection: sqlite3.Connection, bucket: int) -> int:
    """The row of the root of a bucket, which is given by its row; 0 for none."""
    row = connection.execute(
        "SELECT id FROM directory WHERE bucket = ? AND parent = 0 AND name = ?", (bucket, pack(""))
    ).fetchone()
    return int(row[0]) if row else 0


def find_directory(connection: sqlite3.Connection, root: int, path: str) -> int:
    """The row of a directory below ``root``, 0 for none. ``path`` is empty or ends in a slash."""
    found = root
    for name in path.split("/")[:-1]:
        row = connection.execute(
            "SELECT id FROM directory WHERE parent = ? AND name = ? AND parent != 0", (found, pack(name))
        ).fetchone()
        found = int(row[0]) if row else 0
    return found
