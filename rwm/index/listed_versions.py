"""The versions of a state that a listing of its location shows, in a temporary table of the index's connection.

The table has a row for each version of the state that was listed, so it grows with the state, not with the listing.
Reading is done in pages, each a finished query: an open one would keep this connection from writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rwm.index.connection import TEMPORARY, errors, transaction
from rwm.index.directories import DirectoryPaths, find_directory
from rwm.index.packed import pack, pack_all, unpack
from rwm.model import Entry, EntryBatch, ObjectVersion, VersionBatch
from rwm.names import split_key

_MATCH = 20_000  # listed versions that are compared at once
_PAGE = 1000
_SCHEMA = """
    DROP TABLE IF EXISTS temp.listed;
    DROP TABLE IF EXISTS temp.shown;
    -- What was listed and not compared yet. Values are as in the table version.
    CREATE TEMP TABLE listed (
        directory INTEGER, name ANY, version_id ANY, is_marker INTEGER, size INTEGER, etag ANY, last_modified INTEGER,
        storage_class TEXT
    ) STRICT;
    -- Versions of the state that were listed, as the state has them; ``fault`` says how the listed one differs.
    CREATE TEMP TABLE shown (
        directory INTEGER, name ANY, version_id ANY, size INTEGER, etag ANY, last_modified INTEGER,
        storage_class TEXT, fault TEXT, PRIMARY KEY (directory, name)
    ) STRICT, WITHOUT ROWID;
"""
_COMPARE = """
    INSERT OR REPLACE INTO temp.shown
    SELECT v.directory, v.name, v.version_id, v.size, v.etag, v.last_modified, l.storage_class, CASE
        WHEN l.is_marker THEN 'in the bucket it is a delete marker'
        WHEN l.size != v.size THEN 'the bucket''s version has another size (' || l.size || ', not ' || v.size || ')'
        WHEN l.etag != v.etag THEN 'the bucket''s version has another ETag'
        WHEN l.last_modified != v.last_modified THEN 'the bucket''s version has another time'
        END
    FROM temp.listed l CROSS JOIN version v
        ON v.directory = l.directory AND v.name = l.name AND v.version_id = l.version_id
    WHERE v.since <= :moment AND v.until > :moment
"""
_READ = """
    SELECT s.directory, s.name, s.version_id, s.size, s.etag, s.last_modified, s.storage_class, s.fault,
        c.checked_at, c.fault
    FROM temp.shown s LEFT JOIN content c ON c.directory = s.directory AND c.name = s.name
        AND c.version_id = s.version_id AND c.last_modified = s.last_modified
    WHERE (s.directory, s.name) > (?, ?) {} ORDER BY s.directory, s.name LIMIT ?
"""


class ListedVersion(NamedTuple):
    """A version of a state that a listing shows, and what is known of its content.

    ``fault`` says how the listed version differs from the ``entry``, None if it does not. ``checked_at`` is when its
    content was read, None if it was not; ``content_fault`` says what was wrong with it then.
    """

    entry: Entry
    storage_class: str | None
    fault: str | None
    checked_at: int | None
    content_fault: str | None


class ListedVersions:
    """Compares a listing with the state at a moment of its bucket. Only one such table can exist at a time.

    ``bucket`` is the bucket's row, ``batches`` returns the entries of the state.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        bucket: int,
        moment: int,
        batches: Callable[[], Iterator[EntryBatch]],
    ) -> None:
        self._connection = connection
        self._moment = moment
        self._bucket = bucket
        self._path_of = DirectoryPaths(connection).of
        self._batches = batches
        self._directories: dict[str, int] = {}
        self._waiting = 0
        with errors(TEMPORARY):
            connection.executescript(_SCHEMA)

    def add(self, versions: Sequence[ObjectVersion]) -> None:
        """Add a part of the listing, in any order."""
        batch = VersionBatch.of(versions)
        if not batch.keys:
            return
        paths, names = zip(*map(split_key, batch.keys), strict=True)
        directories = map(self._directory, paths)
        classes = batch.storage_classes or [None] * len(batch.keys)
        columns = (pack_all(names), pack_all(batch.version_ids), map(int, batch.is_marker), batch.sizes)
        rows = zip(directories, *columns, pack_all(batch.etags), batch.last_modified, classes, strict=True)
        with errors(TEMPORARY), transaction(self._connection, temporary=True):
            self._connection.executemany("INSERT INTO temp.listed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._waiting += len(batch.keys)
        if self._waiting >= _MATCH:
            self._compare()

    def _directory(self, path: str) -> int:
        if path not in self._directories:
            if len(self._directories) >= _PAGE:  # bounds memory; a listing comes directory by directory
                self._directories.clear()
            with errors(TEMPORARY):
                self._directories[path] = find_directory(self._connection, self._bucket, path)
        return self._directories[path]

    def _compare(self) -> None:
        if not self._waiting:
            return
        with errors(TEMPORARY), transaction(self._connection, temporary=True):
            self._connection.execute(_COMPARE, {"moment": self._moment})
            self._connection.execute("DELETE FROM temp.listed")
        self._waiting = 0

    def totals(self) -> tuple[int, int]:
        """The number of versions that were listed as the state has them, and their size in bytes."""
        self._compare()
        query = "SELECT count(*), CAST(total(size) AS INTEGER) FROM temp.shown WHERE fault IS NULL"
        with errors(TEMPORARY):
            objects, size = self._connection.execute(query).fetchone()
        return objects, size

    def missing(self) -> Iterator[Entry]:
        """The entries of the state that were not listed, sorted by key."""
        self._compare()
        for batch in self._batches():
            for entry in batch.entries():
                if not self._is_shown(entry.key):
                    yield entry

    def _is_shown(self, key: str) -> bool:
        path, name = split_key(key)
        with errors(TEMPORARY):
            found = self._connection.execute(
                "SELECT 1 FROM temp.shown WHERE directory = ? AND name = ?", (self._directory(path), pack(name))
            )
            return found.fetchone() is not None

    def read(self, *, differing: bool = False) -> Iterator[ListedVersion]:
        """The versions that were listed, directory by directory; ``differing``: only those with a fault.

        What is recorded meanwhile may be seen or not.
        """
        self._compare()
        query = _READ.format("AND s.fault IS NOT NULL" if differing else "")
        last: tuple[int, object] = (0, "")
        while rows := self._page(query, last):
            yield from map(self._row, rows)
            last = rows[-1][0], rows[-1][1]

    def _page(self, query: str, last: tuple[int, object]) -> list[tuple]:  # type: ignore[type-arg]  # a row of _READ
        with errors(TEMPORARY):
            return self._connection.execute(query, (*last, _PAGE)).fetchall()

    def _row(self, row: tuple) -> ListedVersion:  # type: ignore[type-arg]  # a row of _READ
        directory, name, version_id, size, etag, last_modified, *rest = row
        key = self._path_of(directory) + unpack(name)
        return ListedVersion(Entry(key, unpack(version_id), size, unpack(etag), last_modified), *rest)

    def close(self) -> None:
        """Free the space."""
        with errors(TEMPORARY):
            self._connection.execute("DROP TABLE IF EXISTS temp.listed")
            self._connection.execute("DROP TABLE IF EXISTS temp.shown")
