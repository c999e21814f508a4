"""Reading recorded states: the entries of one, sorted by key, and the differences of two."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from rwm.index.batches import BATCH
from rwm.index.packed import Packed, unpack, unpack_all
from rwm.model import Difference, Entry, EntryBatch

_FILES = (
    "SELECT name, version_id, size, etag, last_modified FROM version "
    "WHERE directory = ? AND {range} AND since <= ? AND until > ? ORDER BY name"
)
_TEXT = _FILES.format(range="name < x''")  # all text sorts before all bytes
_PACKED = _FILES.format(range="name >= x''")


def batches(connection: sqlite3.Connection, root: int, moment: int) -> Iterator[EntryBatch]:
    """All entries below a directory, sorted by key.

    Depth first, without recursion: a key may have a thousand slashes.
    """
    stack = [_level(connection, root, "", moment)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, EntryBatch):
                yield item
            else:
                stack.append(_level(connection, item.id, item.path, moment))
                break
        else:
            stack.pop()


class _Subdirectory(NamedTuple):
    """A directory among entries; its path, which sorts among their keys, ends in a slash."""

    path: str
    id: int


def _level(
    connection: sqlite3.Connection, directory: int, path: str, moment: int
) -> Iterator[EntryBatch | _Subdirectory]:
    """The files of a directory, in batches, and its subdirectories, sorted as whole keys."""
    at = (directory, moment, moment)
    children = connection.execute("SELECT name, id FROM directory WHERE parent = ?", (directory,))
    below = sorted(_Subdirectory(f"{path}{unpack(name)}/", number) for name, number in children)
    parts = [part for query in (_TEXT, _PACKED) if (part := _unless_empty(_files(connection.execute(query, at), path)))]
    if not below and len(parts) == 1:
        yield from parts[0]
        return
    batch: list[Entry] = []
    sorted_parts: list[Iterable[Entry | _Subdirectory]] = [below, *(_entries(part) for part in parts)]
    for item in heapq.merge(*sorted_parts, key=itemgetter(0)):
        if batch and (isinstance(item, _Subdirectory) or len(batch) == BATCH):
            yield EntryBatch.of(batch)
            batch = []
        if isinstance(item, _Subdirectory):
            yield item
        else:
            batch.append(item)
    if batch:
        yield EntryBatch.of(batch)


def _files(rows: sqlite3.Cursor, path: str) -> Iterator[EntryBatch]:
    while batch := rows.fetchmany(BATCH):
        names, version_ids, sizes, etags, times = zip(*batch, strict=True)
        keys = [path + name for name in unpack_all(names)]
        yield EntryBatch(keys, unpack_all(version_ids), sizes, unpack_all(etags), times)


def _entries(batches: Iterable[EntryBatch]) -> Iterator[Entry]:
    return chain.from_iterable(batch.entries() for batch in batches)


def _unless_empty(batches: Iterator[EntryBatch]) -> Iterator[EntryBatch] | None:
    """The same batches; None if there are none."""
    first = next(batches, None)
    return None if first is None else chain([first], batches)


def differences(connection: sqlite3.Connection, bucket: int, before: int, after: int) -> list[Difference]:
    """The differences of the states at two moments, sorted by key.

    One pass over the bucket's rows in SQLite; memory grows with the differences.
    """
    rows = connection.execute(
        """SELECT directory, name, version_id, size, etag, last_modified, since <= :after AND until > :after
           FROM version WHERE directory IN (SELECT id FROM directory WHERE bucket = :bucket)
           AND (since <= :before AND until > :before) != (since <= :after AND until > :after)""",
        {"bucket": bucket, "before": before, "after": after},
    )
    path = DirectoryPaths(connection).of
    found: dict[str, tuple[Entry | None, Entry | None]] = {}
    for directory, name, version_id, size, etag, last_modified, is_after in rows:
        key = path(directory) + unpack(name)
        entry = Entry(key, unpack(version_id), size, unpack(etag), last_modified)
        old, new = found.get(key, (None, None))
        found[key] = (old, entry) if is_after else (entry, new)
    return [Difference(key, old, new) for key, (old, new) in sorted(found.items()) if old != new]


class DirectoryPaths:
    """Paths of directories by id, each with its slash; cached."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[int, str] = {}

    def of(self, directory: int) -> str:
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
