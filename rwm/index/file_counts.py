"""How many files restic processed in the last run of each backup."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rwm.index.connection import errors
from rwm.index.directories import bucket_id
from rwm.location import Location


class FileCounts:
    """A part of :class:`rwm.index.Index`. ``entry`` is the name of a backup in the configuration.

    Machines that share a bucket have locations of their own, and may give backups the same name.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def last(self, location: Location, entry: str) -> int | None:
        """The number that was recorded last, None if there is none."""
        with errors(self._path):
            row = self._connection.execute(
                "SELECT files FROM backup_files WHERE bucket = ? AND prefix = ? AND entry = ?",
                (bucket_id(self._connection, location.bucket), location.prefix, entry),
            ).fetchone()
        return None if row is None else int(row[0])

    def record(self, location: Location, entry: str, files: int) -> None:
        """Record the number of the last run."""
        with errors(self._path):
            self._connection.execute(
                "INSERT OR REPLACE INTO backup_files (bucket, prefix, entry, files) VALUES (?, ?, ?, ?)",
                (bucket_id(self._connection, location.bucket, create=True), location.prefix, entry, files),
            )
