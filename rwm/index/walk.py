"""Reading what is recorded: a state's entries in the order of keys, and what two states do not share."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Any

from rwm.index.packed import Packed, unpack
from rwm.model import Difference, Entry

_FILES = (
    "SELECT name, version_id, size, etag, last_modified FROM version "
    "WHERE directory = ? AND {range} AND since <= ? AND until > ? ORDER BY name"
)
_TEXT = _FILES.format(range="name < x''")  # all text sorts before all bytes
_PACKED = _FILES.format(range="name >= x''")


def entries(connection: sqlite3.Connection, root: int, moment: int) -> Iterator[Entry]:
    """Depth first, with a stack of our own: a key may have a thousand slashes."""
    stack = [_level(connection, root, "", moment)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, Entry):
                yield item
            else:
                stack.append(_level(connection, item[0], item[1], moment))
                break
        else:
            stack.pop()


def _level(connection: sqlite3.Connection, directory: int, path: str, moment: int) -> Iterator[Entry | tuple[int, str]]:
    """A directory's files and (id, path) of its subdirectories, merged in the order of whole keys.

    A directory sorts as its name with a slash.
    """
    at = (directory, moment, moment)
    children = connection.execute("SELECT name, id FROM directory WHERE parent = ?", (directory,))
    below = sorted((f"{path}{unpack(name)}/", number) for name, number in children)
    parts: list[Iterator[Entry | tuple[str, int]]] = [
        part for query in (_TEXT, _PACKED) if (part := _started(_files(connection.execute(query, at), path)))
    ]
    if below:
        parts.append(iter(below))
    merged = parts[0] if len(parts) == 1 else heapq.merge(*parts, key=lambda item: item[0])
    for item in merged:
        yield item if isinstance(item, Entry) else (item[1], item[0])


def _files(rows: Iterator[tuple[Any, ...]], path: str) -> Iterator[Entry]:
    for name, version_id, size, etag, last_modified in rows:
        yield Entry(
            path + (name if type(name) is str else name.hex()),
            version_id if type(version_id) is str else version_id.hex(),
            size,
            etag if type(etag) is str else etag.hex(),
            last_modified,
        )


def _started(items: Iterator[Entry]) -> Iterator[Entry | tuple[str, int]] | None:
    """The same items, or None when there is none."""
    first = next(items, None)
    if first is None:
        return None

    def all_of() -> Iterator[Entry | tuple[str, int]]:
        yield first
        yield from items

    return all_of()


def differences(connection: sqlite3.Connection, bucket: int, before: int, after: int) -> list[Difference]:
    """What the states at two moments do not share, sorted by key.

    One pass over the bucket's rows in SQLite; memory grows with what changed.
    """
    rows = connection.execute(
        """SELECT directory, name, version_id, size, etag, last_modified, since <= :after AND until > :after
           FROM version WHERE directory IN (SELECT id FROM directory WHERE bucket = :bucket)
           AND (since <= :before AND until > :before) != (since <= :after AND until > :after)""",
        {"bucket": bucket, "before": before, "after": after},
    )
    path = _Paths(connection).of
    found: dict[str, tuple[Entry | None, Entry | None]] = {}
    for directory, name, version_id, size, etag, last_modified, is_after in rows:
        key = path(directory) + unpack(name)
        entry = Entry(key, unpack(version_id), size, unpack(etag), last_modified)
        old, new = found.get(key, (None, None))
        found[key] = (old, entry) if is_after else (entry, new)
    return [Difference(key, old, new) for key, (old, new) in sorted(found.items()) if old != new]


class _Paths:
    """Directories by id as the part of a key up to and with the slash."""

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
