"""Record states: insert, split and extend the intervals of the table ``version``.

A state is given by its changes from what was current below its prefix just before it, so the cost grows with the
changes.
"""

from __future__ import annotations

import sqlite3

from rwm.errors import BadState
from rwm.index.change_table import ChangeTable
from rwm.index.directories import DirectoryWriter, bucket_id
from rwm.index.timeline import NextMoments, states_after, states_before
from rwm.model import StateInfo

_ROW = "directory, name, since, until, version_id, size, etag, last_modified, hidden"


def record(connection: sqlite3.Connection, changes: ChangeTable, info: StateInfo, moment: int) -> None:
    """Add a state that is not recorded yet, by its changes. The caller holds the transaction.

    T is its ``moment``. The rows below its prefix that are current at T are the state's entries afterwards, and every
    other state is what it was. N, the moment of the next later state that covers a key, is ``after`` of its directory.
    Raises BadState for a key that is not below the prefix.
    """
    bucket = bucket_id(connection, info.bucket, create=True)
    later = states_after(connection, bucket, info.prefix, moment)
    directories, next_moments = DirectoryWriter(connection, bucket), NextMoments(later)
    directories.id(info.prefix)

    def find(path: str) -> tuple[int, int]:
        if not path.startswith(info.prefix):
            raise BadState(f"state {info.short} of {info.location} has a key in {path!r}")
        return directories.id(path), next_moments.of(path)

    changes.locate(find)
    at = {"T": moment}
    if later:
        connection.execute(_CONTINUE_AFTER, at)
    if states_before(connection, bucket, info.prefix, moment):
        connection.executemany(_END, connection.execute(_END_FOR, at))
    if later:
        connection.executemany(_BEGIN_EARLIER, connection.execute(_BEGIN_EARLIER_FOR, at))
    connection.execute(_BEGIN, at)
    changes.close()
    connection.execute(
        "INSERT INTO state (id, bucket, prefix, moment, captured_at, origin, outcome, objects, bytes) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (info.id, bucket, info.prefix, moment, info.captured_at, info.origin, info.outcome, info.objects, info.bytes),
    )


# CROSS JOIN makes SQLite scan the changes and look up each key; for an UPDATE … FROM it would scan all versions.
_CHANGED = "temp.changed c CROSS JOIN temp.changed_path p ON p.id = c.path"
_OF_CHANGED = "version.directory = p.directory AND version.name = c.name"
# Rows that span T and are current at N continue there in a new row.
_CONTINUE_AFTER = f"""INSERT INTO version ({_ROW}, storage_class)
    SELECT version.directory, version.name, p.after, until, version.version_id, version.size, version.etag,
        version.last_modified, version.hidden, version.storage_class
    FROM {_CHANGED} CROSS JOIN version WHERE {_OF_CHANGED} AND since < :T AND until > p.after"""
_END = "UPDATE version SET until = ?1 WHERE directory = ?2 AND name = ?3 AND since < ?1 AND until > ?1"
_END_FOR = f"SELECT :T, directory, name FROM {_CHANGED}"
# All columns are compared, because a `null` version that was overwritten in place keeps its id.
_BEGIN_EARLIER = """UPDATE version SET since = ?1 WHERE directory = ?3 AND name = ?4 AND since = ?2
    AND version_id = ?5 AND size = ?6 AND etag = ?7 AND last_modified = ?8"""
_BEGIN_EARLIER_FOR = f"""SELECT :T, p.after, p.directory, c.name, version_id, size, etag, last_modified
    FROM {_CHANGED} WHERE version_id IS NOT NULL"""
_BEGIN = f"""INSERT INTO version ({_ROW})
    SELECT p.directory, c.name, :T, p.after, version_id, size, etag, last_modified, hidden
    FROM {_CHANGED} WHERE version_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM version WHERE {_OF_CHANGED} AND since = :T)
    ORDER BY c.rowid"""


def is_recorded(connection: sqlite3.Connection, info: StateInfo) -> bool:
    """Whether the state is recorded."""
    return connection.execute("SELECT 1 FROM state WHERE id = ?", (info.id,)).fetchone() is not None
