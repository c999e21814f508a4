"""Entries of states that were written after the second of the state, while it was captured."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from rwm.index.directories import SUBTREE, DirectoryPaths
from rwm.index.packed import unpack
from rwm.model import Entry
from rwm.times import DAY, SECOND

_QUERY = f"""
    SELECT s.id, s.prefix, v.directory, v.name, v.version_id, v.size, v.etag, v.last_modified
    FROM version v CROSS JOIN state s
        ON s.bucket = :bucket AND s.moment >= v.since AND s.moment < v.until
        AND s.moment >= v.last_modified - {DAY} AND s.moment <= v.last_modified
        AND s.captured_at + {SECOND} <= v.last_modified
    WHERE v.directory IN {SUBTREE} AND v.last_modified >= v.since
"""
"""A moment is at least the state's time. No capture takes a day: a forged time in the future matches no state."""


class BornLater(NamedTuple):
    """An entry of the state with that id: its key was created after the second of the state."""

    state_id: str
    entry: Entry


def read_born_later(connection: sqlite3.Connection, bucket: int, root: int) -> Iterator[BornLater]:
    """All such entries below the directory ``root``. One scan of the versions there; memory is constant."""
    path_of = DirectoryPaths(connection).of
    rows = connection.execute(_QUERY, {"bucket": bucket, "root": root})
    for state_id, prefix, directory, name, version_id, size, etag, last_modified in rows:
        key = path_of(directory) + unpack(name)
        if key.startswith(prefix):
            yield BornLater(state_id, Entry(key, unpack(version_id), size, unpack(etag), last_modified))
