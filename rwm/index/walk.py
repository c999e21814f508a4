"""Reading recorded states: the entries of one or of many at once, sorted by key, and the differences of two."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from rwm.index.batches import BATCH
from rwm.index.directories import SUBTREE, DirectoryPaths
from rwm.index.packed import unpack, unpack_all
from rwm.model import Difference, Entry, EntryBatch

_FILES = (
    "SELECT {columns} FROM version WHERE directory = ? AND {range} AND since <= ? AND until > ? ORDER BY name, since"
)
_TEXT, _PACKED = "name < x''", "name >= x''"  # all text sorts before all bytes
_COLUMNS = "name, version_id, size, etag, last_modified"


class IntervalBatch(NamedTuple):
    """Rows as columns: those of :class:`rwm.model.EntryBatch`, and the interval of moments of each."""

    keys: Sequence[str]
    version_ids: Sequence[str]
    sizes: Sequence[int]
    etags: Sequence[str]
    last_modified: Sequence[int]
    since: Sequence[int]
    until: Sequence[int]

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]]) -> IntervalBatch:
        """The batch of these rows."""
        return cls(*zip(*rows, strict=True))

    def entries(self) -> Iterator[tuple[Any, ...]]:
        """The rows one by one; each begins with its key."""
        return zip(*self, strict=True)


_Batch = TypeVar("_Batch", EntryBatch, IntervalBatch)


class _Source(NamedTuple, Generic[_Batch]):
    """What is read: rows that are current at some moment from ``first`` to ``last``, in batches of a kind."""

    connection: sqlite3.Connection
    batch: type[_Batch]
    columns: str
    first: int
    last: int


def batches(connection: sqlite3.Connection, directory: int, path: str, moment: int) -> Iterator[EntryBatch]:
    """All entries below a directory, sorted by key. ``path`` is its path, empty or with its slash."""
    return _walk(_Source(connection, EntryBatch, _COLUMNS, moment, moment), directory, path)


def interval_batches(
    connection: sqlite3.Connection, directory: int, path: str, first: int, last: int
) -> Iterator[IntervalBatch]:
    """All rows of the moments from ``first`` to ``last`` below a directory, sorted by key."""
    return _walk(_Source(connection, IntervalBatch, f"{_COLUMNS}, since, until", first, last), directory, path)


def _walk(source: _Source[_Batch], directory: int, path: str) -> Iterator[_Batch]:
    """Depth first, without recursion: a key may have a thousand slashes."""
    stack = [_level(source, directory, path)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, _Subdirectory):
                stack.append(_level(source, item.id, item.path))
                break
            yield item
        else:
            stack.pop()


class _Subdirectory(NamedTuple):
    """A directory among entries; its path, which sorts among their keys, ends in a slash."""

    path: str
    id: int


def _level(source: _Source[_Batch], directory: int, path: str) -> Iterator[_Batch | _Subdirectory]:
    """The files of a directory, in batches, and its subdirectories, sorted as whole keys."""
    children = source.connection.execute("SELECT name, id FROM directory WHERE parent = ?", (directory,))
    below = sorted(_Subdirectory(f"{path}{unpack(name)}/", number) for name, number in children)
    found = (_unless_empty(_files(source, where, directory, path)) for where in (_TEXT, _PACKED))
    parts: list[Iterator[_Batch]] = [part for part in found if part is not None]
    if not below and len(parts) == 1:
        yield from parts[0]
        return
    batch: list[Any] = []
    sorted_parts: list[Iterable[Any]] = [below, *(_entries(part) for part in parts)]
    for item in heapq.merge(*sorted_parts, key=itemgetter(0)):
        if batch and (isinstance(item, _Subdirectory) or len(batch) == BATCH):
            yield source.batch.of(batch)
            batch = []
        if isinstance(item, _Subdirectory):
            yield item
        else:
            batch.append(item)
    if batch:
        yield source.batch.of(batch)


def _files(source: _Source[_Batch], where: str, directory: int, path: str) -> Iterator[_Batch]:
    query = _FILES.format(columns=source.columns, range=where)
    rows = source.connection.execute(query, (directory, source.last, source.first))
    while batch := rows.fetchmany(BATCH):
        names, version_ids, sizes, etags, *others = zip(*batch, strict=True)
        keys = [path + name for name in unpack_all(names)]
        yield source.batch(keys, unpack_all(version_ids), sizes, unpack_all(etags), *others)


def _entries(batches: Iterable[_Batch]) -> Iterator[Any]:
    return chain.from_iterable(batch.entries() for batch in batches)


def _unless_empty(batches: Iterator[_Batch]) -> Iterator[_Batch] | None:
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
