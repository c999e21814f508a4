"""Reading recorded states: the entries of one, sorted by key, and the differences of two."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from rwm.index.batches import BATCH
from rwm.index.directories import SUBTREE, DirectoryPaths
from rwm.index.packed import unpack, unpack_all
from rwm.model import Difference, Entry, EntryBatch

_FILES = (
    "SELECT name, version_id, size, etag, last_modified FROM version "
    "WHERE directory = ? AND {range} AND since <= ? AND until > ? ORDER BY name"
)
_TEXT = _FILES.format(range="name < x''")  # all text sorts before all bytes
_PACKED = _FILES.format(range="name >= x''")


def batches(connection: sqlite3.Connection, directory: int, path: str, moment: int) -> Iterator[EntryBatch]:
    """All entries below a directory, sorted by key. ``path`` is its path, empty or with its slash.

    Depth first, without recursion: a key may have a thousand slashes.
    """
    stack = [_level(connection, directory, path, moment)]
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


def differences(connection: sqlite3.Connection, directory: int, before: int, after: int) -> list[Difference]:
    """The differences below a directory between the states at two moments, sorted by key.

    One pass over its rows in SQLite; memory grows with the differences.
    """
    found = differences_up_to(None, connection, directory, before, after)
    assert found is not None
    return found


def differences_up_to(
    limit: int | None, connection: sqlite3.Connection, directory: int, before: int, after: int
) -> list[Difference] | None:
    """The same; None if there are more than ``limit``."""
    rows = connection.execute(
        f"""SELECT directory, name, version_id, size, etag, last_modified, since <= :after AND until > :after
           FROM version WHERE directory IN {SUBTREE}
           AND (since <= :before AND until > :before) != (since <= :after AND until > :after)""",
        {"root": directory, "before": before, "after": after},
    )
    path = DirectoryPaths(connection).of
    found: dict[str, tuple[Entry | None, Entry | None]] = {}
    for directory, name, version_id, size, etag, last_modified, is_after in rows:
        key = path(directory) + unpack(name)
        entry = Entry(key, unpack(version_id), size, unpack(etag), last_modified)
        old, new = found.get(key, (None, None))
        found[key] = (old, entry) if is_after else (entry, new)
        if limit is not None and len(found) > limit:
            return None
    return [Difference(key, old, new) for key, (old, new) in sorted(found.items()) if old != new]
