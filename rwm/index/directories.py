"""Rows of buckets and directories: found and inserted by name, and named by id."""

from __future__ import annotations

import sqlite3

from rwm.index.packed import Packed, pack, unpack
from rwm.location import Location
from rwm.names import component_hidden_reason

NO_DIRECTORY = -1
"""In place of the id of a directory that has no row: no row has this id or this parent."""

SUBTREE = """(
    WITH RECURSIVE below (id) AS (
        VALUES (:root) UNION ALL SELECT d.id FROM directory d JOIN below ON d.parent = below.id)
    SELECT id FROM below)"""
"""The ids of the directory ``:root`` and of all directories below it, for ``IN``."""


def bucket_id(connection: sqlite3.Connection, name: str, *, create: bool = False) -> int:
    """The id of the bucket's row; 0 if it has none."""
    if create:
        connection.execute("INSERT OR IGNORE INTO bucket (name) VALUES (?)", (name,))
    row = connection.execute("SELECT id FROM bucket WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def find_directory(connection: sqlite3.Connection, bucket: int, path: str) -> int:
    """The row of a directory of a bucket, or NO_DIRECTORY. ``path`` is empty (the root) or ends in a slash."""
    found = 0
    for name in ("", *path.split("/")[:-1]):
        row = connection.execute(
            "SELECT id FROM directory WHERE bucket = ? AND parent = ? AND name = ?", (bucket, found, pack(name))
        ).fetchone()
        if row is None:
            return NO_DIRECTORY
        found = int(row[0])
    return found


def location_directory(connection: sqlite3.Connection, location: Location) -> int:
    """The row of the directory of a location, or NO_DIRECTORY."""
    return find_directory(connection, bucket_id(connection, location.bucket), location.prefix)


class DirectoryFinder:
    """Ids of directories by path, as :func:`find_directory`. The last one is cached, because paths come sorted."""

    def __init__(self, connection: sqlite3.Connection, bucket: int) -> None:
        self._connection = connection
        self._bucket = bucket
        self._last: tuple[str, int] | None = None

    def id(self, path: str) -> int:
        """The row of a directory, or NO_DIRECTORY."""
        if self._last is None or path != self._last[0]:
            self._last = (path, find_directory(self._connection, self._bucket, path))
        return self._last[1]


class DirectoryWriter:
    """Directory ids by path; missing rows are inserted. Only the last path is cached, because paths come sorted."""

    def __init__(self, connection: sqlite3.Connection, bucket: int) -> None:
        self._connection = connection
        self._bucket = bucket
        self._root = self._row(0, "", hidden=False)
        self._last: tuple[str, int] = ("", self._root[0])

    def id(self, path: str) -> int:
        """The id of a directory, whose path is empty or ends in a slash."""
        if path != self._last[0]:
            found, hidden = self._root
            for name in path.split("/")[:-1]:
                found, hidden = self._row(found, name, hidden=hidden or component_hidden_reason(name) is not None)
            self._last = (path, found)
        return self._last[1]

    def _row(self, parent: int, name: str, *, hidden: bool) -> tuple[int, bool]:
        where = (self._bucket, parent, pack(name))
        select = "SELECT id FROM directory WHERE bucket = ? AND parent = ? AND name = ?"
        row = self._connection.execute(select, where).fetchone()
        if row is None:
            row = self._connection.execute(
                "INSERT INTO directory (bucket, parent, name, hidden) VALUES (?, ?, ?, ?) RETURNING id",
                (*where, hidden),
            ).fetchone()
        return int(row[0]), hidden


class DirectoryPaths:
    """Paths of directories by id, each with its slash; cached."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[int, str] = {}

    def of(self, directory: int) -> str:
        """The path of a directory, empty for the root."""
        found = self._known.get(directory)
        if found is None:
            names: list[str] = []
            here = directory
            while here:
                here, name = self._row(here)
                names.append(unpack(name))
            found = self._known[directory] = "".join(f"{name}/" for name in reversed(names[:-1]))
        return found

    def _row(self, directory: int) -> tuple[int, Packed]:
        row: tuple[int, Packed] = self._connection.execute(
            "SELECT parent, name FROM directory WHERE id = ?", (directory,)
        ).fetchone()
        return row
