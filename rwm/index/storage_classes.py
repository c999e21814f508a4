"""The storage classes of recorded versions, as listings showed them.

A class is a property of an object version at the time of a listing. It is not part of a state or its file, because a
lifecycle rule may change it later. STANDARD is not stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from rwm.index.class_table import ClassTable
from rwm.index.connection import errors, transaction
from rwm.index.directories import SUBTREE, DirectoryPaths, bucket_id, location_directory
from rwm.index.packed import unpack
from rwm.index.timeline import OVERLAPS
from rwm.location import Location
from rwm.model import ClassCount, Entry, StateInfo, StorageClasses

_CLASSED = f"FROM version INDEXED BY version_class WHERE storage_class IS NOT NULL AND directory IN {SUBTREE}"
_CURRENT = "since <= :T AND until > :T"
_COUNT = "SELECT storage_class, count(*), CAST(total(size) AS INTEGER)"
_COUNT_STATE = f"{_COUNT} {_CLASSED} AND {_CURRENT} GROUP BY storage_class ORDER BY storage_class"
_COUNT_ALL = f"{_COUNT} {_CLASSED} GROUP BY storage_class ORDER BY storage_class"
_ENTRIES = f"""SELECT directory, name, version_id, size, etag, last_modified, storage_class
    {_CLASSED} AND {_CURRENT} ORDER BY directory, name"""


class RecordedClasses:
    """A part of :class:`rwm.index.Index`.

    A ``prefix`` is that of a part which the state covers, by default all of it; ValueError is raised for another one.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def table(self) -> ClassTable:
        """A spool for the storage classes of a listing that is no capture. One at a time."""
        return ClassTable(self._connection)

    def record(self, location: Location, classes: ClassTable, listed_at: int) -> None:
        """Note what a whole listing of the location, begun at ``listed_at``, shows of all recorded versions."""
        with errors(self._path), transaction(self._connection):
            classes.store(location, listed_at)

    def of_state(self, info: StateInfo, prefix: str | None = None) -> StorageClasses:
        """The classes of the state's versions, as the last listing of the bucket showed them.

        Empty for a state that is not recorded.
        """
        part = info.part(prefix)
        with errors(self._path):
            row = self._connection.execute("SELECT moment, listed_at FROM state WHERE id = ?", (info.id,)).fetchone()
            if row is None:
                return StorageClasses(None)
            moment, listed_at = row
            root = location_directory(self._connection, part)
            counts = self._connection.execute(_COUNT_STATE, {"root": root, "T": moment})
            return StorageClasses(listed_at, _counts(counts))

    def of_location(self, location: Location) -> StorageClasses:
        """The classes of all versions below the location that any state has.

        As of the oldest listing that showed one of the states that overlap it.
        """
        with errors(self._path):
            known, listed_at = self._connection.execute(
                f"SELECT count(*) = count(listed_at), min(listed_at) FROM state s WHERE bucket = ?1 AND {OVERLAPS}",
                (bucket_id(self._connection, location.bucket), location.prefix),
            ).fetchone()
            root = location_directory(self._connection, location)
            counts = self._connection.execute(_COUNT_ALL, {"root": root})
            return StorageClasses(listed_at if known else None, _counts(counts))

    def entries(self, info: StateInfo, prefix: str | None = None) -> Iterator[tuple[Entry, str]]:
        """The state's entries whose class is not STANDARD, with the class, directory by directory.

        Nothing of a state that is not recorded.
        """
        part = info.part(prefix)
        with errors(self._path):
            row = self._connection.execute("SELECT moment FROM state WHERE id = ?", (info.id,)).fetchone()
            if row is None:
                return
            path_of = DirectoryPaths(self._connection).of
            for directory, name, version_id, size, etag, last_modified, storage_class in self._connection.execute(
                _ENTRIES, {"root": location_directory(self._connection, part), "T": row[0]}
            ):
                key = path_of(directory) + unpack(name)
                yield Entry(key, unpack(version_id), size, unpack(etag), last_modified), storage_class


def _counts(rows: Iterable[tuple[str, int, int]]) -> dict[str, ClassCount]:
    return {name: ClassCount(objects, size) for name, objects, size in rows}
