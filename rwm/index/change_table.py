"""The changes of a state from the state before it, in temporary tables of the index's connection."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

from rwm.index.batches import batched
from rwm.index.packed import Packed, pack, pack_all, unpack
from rwm.model import Change, Entry, EntryBatch
from rwm.names import component_hidden_reason, split_key

_SCHEMA = (
    "DROP TABLE IF EXISTS temp.{name}",
    "DROP TABLE IF EXISTS temp.{name}_path",
    # A directory of changed keys, with its slash; it has a row for each run of sorted keys in it. ``after`` is the
    # moment of the next later state that covers it.
    "CREATE TEMP TABLE {name}_path (id INTEGER PRIMARY KEY, path TEXT, directory INTEGER, after INTEGER) STRICT",
    # Sorted by key. Values are as in the table version; of a removed key, version_id and what follows are NULL.
    "CREATE TEMP TABLE {name} (path INTEGER, name ANY, hidden INTEGER, version_id ANY, size INTEGER, etag ANY, "
    "last_modified INTEGER) STRICT",
)
_INSERT = "INSERT INTO temp.{name} VALUES (?, ?, ?, ?, ?, ?, ?)"
_SHORT_NAME = 127  # bytes; the text is twice as long, so no packed name up to here is hidden

Row = tuple[object, ...]


class ChangeTable:
    """``count`` changes. Only one table of a name can exist at a time."""

    def __init__(self, connection: sqlite3.Connection, name: str = "changed") -> None:
        self._connection = connection
        self._name = name
        self._insert = _INSERT.format(name=name)
        self._path = ("", 0)
        self.count = 0
        for statement in _SCHEMA:
            connection.execute(statement.format(name=name))

    def add(self, changes: Iterable[Change]) -> None:
        """Add changes, sorted by key."""
        for batch in batched(changes):
            self._connection.executemany(self._insert, map(self._row, batch))
            self.count += len(batch)

    def add_new(self, batches: Iterable[EntryBatch]) -> None:
        """Add entries, sorted by key, as changes."""
        for batch in batches:
            for path, columns in _by_directory(batch):
                self._connection.executemany(self._insert, self._rows(path, columns))
            self.count += len(batch.keys)

    def _rows(self, path: str, batch: EntryBatch) -> Iterable[Row]:
        names = [key[len(path) :] for key in batch.keys]
        if "/" in "".join(names):
            return (self._row(Change(entry.key, entry)) for entry in batch.entries())
        packed = pack_all(names)
        version_ids, etags = pack_all(batch.version_ids), pack_all(batch.etags)
        columns = (packed, map(_is_hidden, packed), version_ids, batch.sizes, etags, batch.last_modified)
        return zip(repeat(self._path_id(path)), *columns, strict=False)

    def _row(self, change: Change) -> Row:
        path, name = split_key(change.key)
        packed = pack(name)
        start = (self._path_id(path), packed, _is_hidden(packed))
        if change.entry is None:
            return (*start, None, None, None, None)
        _, version_id, size, etag, last_modified = change.entry
        return (*start, pack(version_id), size, pack(etag), last_modified)

    def _path_id(self, path: str) -> int:
        if path != self._path[0] or not self._path[1]:
            insert = f"INSERT INTO temp.{self._name}_path (path) VALUES (?) RETURNING id"
            self._path = (path, int(self._connection.execute(insert, (path,)).fetchone()[0]))
        return self._path[1]

    def read(self) -> Iterator[Change]:
        """The changes, sorted by key."""
        for path, name, version_id, size, etag, last_modified in self._connection.execute(
            "SELECT p.path, name, version_id, size, etag, last_modified "
            f"FROM temp.{self._name} c JOIN temp.{self._name}_path p ON p.id = c.path ORDER BY c.rowid"
        ):
            key = path + unpack(name)
            gone = version_id is None
            yield Change(key, None if gone else Entry(key, unpack(version_id), size, unpack(etag), last_modified))

    def locate(self, find: Callable[[str], tuple[int, int]]) -> None:
        """Set (directory, after) of each path, before the table is joined with others."""
        paths = self._connection.execute(f"SELECT path, id FROM temp.{self._name}_path").fetchall()
        self._connection.executemany(
            f"UPDATE temp.{self._name}_path SET directory = ?, after = ? WHERE id = ?",
            ((*find(path), number) for path, number in paths),
        )

    def close(self) -> None:
        """Free the space."""
        self._connection.execute(f"DROP TABLE IF EXISTS temp.{self._name}")
        self._connection.execute(f"DROP TABLE IF EXISTS temp.{self._name}_path")


def _by_directory(batch: EntryBatch) -> Iterator[tuple[str, EntryBatch]]:
    """Split sorted entries by directory: (path, entries in it or below it)."""
    start = 0
    while start < len(batch.keys):
        path, _ = split_key(batch.keys[start])
        after = path[:-1] + chr(ord("/") + 1)
        stop = bisect_left(batch.keys, after, start) if path else start + 1
        yield path, batch.part(start, stop)
        start = stop


def _is_hidden(name: Packed) -> bool:
    """Whether no filesystem can show the name."""
    if type(name) is bytes and len(name) <= _SHORT_NAME:
        return False
    return component_hidden_reason(unpack(name)) is not None
