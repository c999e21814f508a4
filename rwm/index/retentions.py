"""The Object Lock retention that RWM has set on versions, beside the states that have them, and locks that it found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from rwm.index.connection import errors, transaction
from rwm.index.directories import (
    NO_DIRECTORY,
    SUBTREE,
    DirectoryFinder,
    DirectoryPaths,
    bucket_id,
    find_directory,
    location_directory,
)
from rwm.index.packed import Packed, pack, unpack
from rwm.index.version_rows import forget_versions
from rwm.location import Location
from rwm.model import LOCK_MODES, LockableVersion, Retention, RetentionChange
from rwm.names import split_key

_VERSIONS = """
    SELECT v.name, v.version_id, v.last_modified, v.since, v.until, r.compliance, r.until
    FROM version v LEFT JOIN retention r USING (directory, name, version_id)
    WHERE v.directory = ? ORDER BY v.name, v.since
"""

_KNOWN = """
    SELECT max(
        coalesce((SELECT until FROM retention WHERE directory = ? AND name = ? AND version_id = ?), 0),
        coalesce((SELECT until FROM found_lock WHERE bucket = ? AND key = ? AND version_id = ?), 0))
"""


class Retentions:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def versions(self, location: Location) -> Iterator[list[LockableVersion]]:
        """All versions that any state has below the location, key by key. Memory is that of one key and one page."""
        with errors(self._path):
            root = location_directory(self._connection, location)
            directories = self._connection.execute(f"SELECT id FROM directory WHERE id IN {SUBTREE}", {"root": root})
            paths = DirectoryPaths(self._connection)
            for (directory,) in directories.fetchall():
                rows = self._read(directory, paths.of(directory))
                for _, versions in groupby(rows, attrgetter("key")):
                    yield list(versions)

    def _read(self, directory: int, path: str) -> Iterator[LockableVersion]:
        with closing(self._connection.execute(_VERSIONS, (directory,))) as rows:
            for name, version_id, last_modified, since, until, compliance, locked in rows:
                retention = None if locked is None else Retention(LOCK_MODES[compliance], locked)
                yield LockableVersion(path + unpack(name), unpack(version_id), last_modified, since, until, retention)

    def record(self, bucket: str, changes: Iterable[RetentionChange]) -> None:
        """Record, in one transaction, retentions that were set."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket)
            for path, group in groupby(changes, lambda change: split_key(change.key)[0]):
                directory = find_directory(self._connection, number, path)
                if directory == NO_DIRECTORY:  # the index was replaced meanwhile
                    continue
                self._connection.executemany(
                    "INSERT OR REPLACE INTO retention VALUES (?, ?, ?, ?, ?)",
                    [
                        (
                            directory,
                            pack(split_key(key)[1]),
                            pack(version_id),
                            LOCK_MODES.index(retention.mode),
                            retention.until,
                        )
                        for key, version_id, retention in group
                    ],
                )

    def of(self, bucket: str, key: str, version_id: str) -> Retention | None:
        """The retention that was recorded of a version."""
        return self.lookup(bucket).of(key, version_id)

    def lookup(self, bucket: str) -> RetentionLookup:
        """What is recorded of single versions of a bucket, for many of them."""
        with errors(self._path):
            return RetentionLookup(self._connection, self._path, bucket)

    def record_found(self, bucket: str, locks: Iterable[tuple[str, str, int]], now: int) -> None:
        """Record, in one transaction, locks that a prune found: key, version id, until when. Drop those that ended."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket, create=True)
            self._connection.execute("DELETE FROM found_lock WHERE bucket = ? AND until <= ?", (number, now))
            self._connection.executemany(
                "INSERT OR REPLACE INTO found_lock VALUES (?, ?, ?, ?)", ((number, *lock) for lock in locks)
            )

    def has_any(self, bucket: str) -> bool:
        """Whether a retention of any version of the bucket is recorded."""
        with errors(self._path):
            found = self._connection.execute(
                "SELECT 1 FROM retention r JOIN directory d ON d.id = r.directory WHERE d.bucket = ? LIMIT 1",
                (bucket_id(self._connection, bucket),),
            )
            return found.fetchone() is not None

    def forget(self, bucket: str, versions: Iterable[tuple[str, str]]) -> None:
        """Drop the rows of versions, (key, version id), that are deleted; in one transaction."""
        with errors(self._path), transaction(self._connection):
            forget_versions(self._connection, "retention", bucket, versions)


class RetentionLookup:
    """Looks up single versions of a bucket: one query for each question, while keys come in their order."""

    def __init__(self, connection: sqlite3.Connection, path: Path, bucket: str) -> None:
        self._connection = connection
        self._path = path
        self._bucket = bucket_id(connection, bucket)
        self._directories = DirectoryFinder(connection, self._bucket)

    def of(self, key: str, version_id: str) -> Retention | None:
        """The retention that was recorded of a version."""
        with errors(self._path):
            row = self._connection.execute(
                "SELECT compliance, until FROM retention WHERE directory = ? AND name = ? AND version_id = ?",
                self._place(key, version_id),
            ).fetchone()
        return None if row is None else Retention(LOCK_MODES[row[0]], row[1])

    def spans(self, key: str, version_id: str) -> list[tuple[int, int]]:
        """The half-open intervals of moments during which states have a version."""
        with errors(self._path):
            return self._connection.execute(
                "SELECT since, until FROM version WHERE directory = ? AND name = ? AND version_id = ?",
                self._place(key, version_id),
            ).fetchall()

    def known_until(self, key: str, version_id: str) -> int:
        """Until when a version is locked, by what RWM has set or found; 0 if it knows of no lock. Milliseconds."""
        place = self._place(key, version_id)
        with errors(self._path):
            found = self._connection.execute(_KNOWN, (*place, self._bucket, key, version_id)).fetchone()
        return int(found[0])

    def _place(self, key: str, version_id: str) -> tuple[int, Packed, Packed]:
        path, name = split_key(key)
        with errors(self._path):
            return self._directories.id(path), pack(name), pack(version_id)
