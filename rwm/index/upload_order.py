"""The packs of a repository in a state, in the order of their upload, in which restic mostly reads them.

The index has no such order, and a state may have millions of packs. So a temporary table of a separate connection holds
it; SQLite keeps it on disk if it is large. The order of packs with equal times is arbitrary but constant.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from pathlib import Path

from rwm.errors import StateNotFound
from rwm.index.connection import TEMPORARY, connect, errors
from rwm.index.directories import DirectoryPaths, find_directory
from rwm.index.packed import Packed, pack, unpack
from rwm.model import Entry, StateInfo

_CREATE = """
    CREATE TEMP TABLE upload AS
    SELECT v.directory, v.name, v.version_id, v.size, v.etag, v.last_modified
    FROM directory d JOIN version v ON v.directory = d.id
    WHERE d.parent = :data AND since <= :moment AND until > :moment
      AND NOT d.hidden AND NOT v.hidden
    ORDER BY v.last_modified, v.directory, v.name
"""


class PackOrder:
    """Implements :class:`rwm.model.UploadOrder`."""

    def __init__(self, path: Path, info: StateInfo, root: str) -> None:
        """Create the table for the repository at the prefix ``root``.

        Raises StateNotFound, and IndexUnusable also if the disk is full.
        """
        self._connection = connect(path, readonly=True)
        self._paths = DirectoryPaths(self._connection)
        try:
            with errors(TEMPORARY):
                self._create(info, root)
                self._times = _Times(self._connection)
        except BaseException:
            self.close()
            raise

    def _create(self, info: StateInfo, root: str) -> None:
        row = self._connection.execute("SELECT bucket, moment FROM state WHERE id = ?", (info.id,)).fetchone()
        if row is None:
            raise StateNotFound(f"state {info.short} is not in the index any more")
        bucket, moment = row
        data = find_directory(self._connection, bucket, f"{root}data/")
        self._connection.execute("PRAGMA query_only = OFF")  # a temporary table counts as writing
        self._connection.execute(_CREATE, {"data": data, "moment": moment})

    def rank(self, entry: Entry) -> int | None:
        """The position of a pack, counted from 0; None if the entry is not a pack."""
        name = entry.key.rpartition("/")[2]
        with errors(TEMPORARY):
            first, after = (bisect(self._times, entry.last_modified) for bisect in (bisect_left, bisect_right))
            # Many packs may have one time: some servers know only whole seconds, and a bucket may be a copy.
            same = self._connection.execute(
                "SELECT rowid FROM upload WHERE rowid > ? AND rowid <= ? AND name = ?", (first, after, pack(name))
            ).fetchall()
        return next((row - 1 for (row,) in same if self.entry(row - 1) == entry), None)

    def entry(self, rank: int) -> Entry | None:
        """The pack at a position, or None after the last one."""
        with errors(TEMPORARY):
            row = self._connection.execute(
                "SELECT directory, name, version_id, size, etag, last_modified FROM upload WHERE rowid = ?", (rank + 1,)
            ).fetchone()
            return None if row is None else self._entry(*row)

    def _entry(
        self, directory: int, name: Packed, version_id: Packed, size: int, etag: Packed, last_modified: int
    ) -> Entry:
        key = self._paths.of(directory) + unpack(name)
        return Entry(key, unpack(version_id), size, unpack(etag), last_modified)

    def close(self) -> None:
        """Free the table."""
        self._connection.close()


class _Times:
    """The times of the packs, as a sequence for bisect."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._count: int = connection.execute("SELECT COUNT(*) FROM upload").fetchone()[0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rank: int) -> int:
        time: int = self._connection.execute(
            "SELECT last_modified FROM upload WHERE rowid = ?", (rank + 1,)
        ).fetchone()[0]
        return time
