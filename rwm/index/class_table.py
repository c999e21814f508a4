"""Storage classes of a listing in temporary tables, and how they are stored in the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from rwm.index.connection import TEMPORARY, errors, transaction
from rwm.index.directories import SUBTREE, bucket_id, find_directory
from rwm.index.packed import pack_all
from rwm.index.timeline import IS_BELOW
from rwm.location import Location
from rwm.model import ListedClasses, ObjectVersion
from rwm.names import split_key

_BATCH = 1000
_SCHEMA = """
    DROP TABLE IF EXISTS temp.listed_class;
    DROP TABLE IF EXISTS temp.class_path;
    -- Directories of listed keys, with their slash; ``directory`` is their row in the index, NULL without one.
    CREATE TEMP TABLE class_path (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, directory INTEGER) STRICT;
    -- Values are as in the table version.
    CREATE TEMP TABLE listed_class (
        path INTEGER, name ANY, version_id ANY, storage_class TEXT, PRIMARY KEY (path, name, version_id)
    ) STRICT, WITHOUT ROWID;
"""
_OURS = f"directory IN {SUBTREE}"
# Listed classes are looked up by version, and versions with a class are found by the partial index.
_LISTED = """SELECT l.storage_class FROM temp.class_path p CROSS JOIN temp.listed_class l
    ON l.path = p.id AND l.name = version.name AND l.version_id = version.version_id
    WHERE p.directory = version.directory"""
_GONE = f"""UPDATE version INDEXED BY version_class SET storage_class = NULL
    WHERE storage_class IS NOT NULL AND {_OURS} AND NOT EXISTS ({_LISTED})"""
_NEW = f"""UPDATE version SET storage_class = ({_LISTED}) WHERE (directory, name, since) IN (
    SELECT v.directory, v.name, v.since FROM temp.listed_class l CROSS JOIN temp.class_path p ON p.id = l.path
    CROSS JOIN version v ON v.directory = p.directory AND v.name = l.name AND v.version_id = l.version_id
    WHERE v.storage_class IS NOT l.storage_class)"""


class ClassTable:
    """The storage classes of one listing of a whole location. Only one such table can exist at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._versions: list[ObjectVersion] = []
        with errors(TEMPORARY):
            connection.executescript(_SCHEMA)

    def add(self, listed: ListedClasses) -> None:
        """Add versions of a listing, in any order. The caller holds a transaction."""
        paths, names = zip(*map(split_key, listed.keys), strict=True)
        path_ids = {path: self._path_id(path) for path in set(paths)}
        columns = (
            map(path_ids.__getitem__, paths),
            pack_all(names),
            pack_all(listed.version_ids),
            listed.storage_classes,
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO temp.listed_class VALUES (?, ?, ?, ?)", zip(*columns, strict=True)
        )

    def add_versions(self, versions: Iterable[ObjectVersion]) -> None:
        """Add the versions whose class is not STANDARD."""
        self._versions += [version for version in versions if version.storage_class]
        if len(self._versions) >= _BATCH:
            with errors(TEMPORARY), transaction(self._connection, temporary=True):
                self._flush()

    def _flush(self) -> None:
        rows = [(version.key, version.version_id, version.storage_class or "") for version in self._versions]
        self._versions.clear()
        if rows:
            self.add(ListedClasses(*zip(*rows, strict=True)))

    def _path_id(self, path: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO temp.class_path (path) VALUES (?)", (path,))
        row = self._connection.execute("SELECT id FROM temp.class_path WHERE path = ?", (path,)).fetchone()
        return int(row[0])

    def store(self, location: Location, listed_at: int) -> None:
        """Replace the classes below the location by those of its listing. The caller holds the transaction."""
        self._flush()
        bucket = bucket_id(self._connection, location.bucket)
        paths = self._connection.execute("SELECT path, id FROM temp.class_path").fetchall()
        self._connection.executemany(
            "UPDATE temp.class_path SET directory = ? WHERE id = ?",
            ((find_directory(self._connection, bucket, path), row) for path, row in paths),
        )
        self._connection.execute("CREATE INDEX temp.class_directory ON class_path (directory)")
        self._connection.execute(_GONE, {"root": find_directory(self._connection, bucket, location.prefix)})
        self._connection.execute(_NEW)
        self._connection.execute(
            f"UPDATE state AS s SET listed_at = ?3 WHERE bucket = ?1 AND {IS_BELOW}",
            (bucket, location.prefix, listed_at),
        )

    def close(self) -> None:
        """Free the space."""
        with errors(TEMPORARY):
            self._connection.execute("DROP TABLE IF EXISTS temp.listed_class")
            self._connection.execute("DROP TABLE IF EXISTS temp.class_path")
