"""Record and forget states: insert, split and join the intervals of the table ``version``.

A state is given by its changes from the state before it, so the cost grows with the changes.
"""

from __future__ import annotations

import sqlite3

from rwm.errors import BadState
from rwm.index.change_table import ChangeTable
from rwm.index.packed import pack
from rwm.index.schema import FOREVER
from rwm.model import StateInfo
from rwm.names import component_hidden_reason
from rwm.times import iso

_ROW = "directory, name, since, until, version_id, size, etag, last_modified, hidden"


def record(connection: sqlite3.Connection, changes: ChangeTable, info: StateInfo, moment: int) -> None:
    """Add a state that is not recorded yet, by its changes. The caller holds the transaction.

    T is its ``moment``. The rows current at T are the state's entries afterwards, and those current at every other
    moment are what they were. N is the next later state's moment, FOREVER without one.
    """
    bucket = bucket_id(connection, info.bucket, create=True)
    after = _next_moment(connection, bucket, moment)
    changes.find_directories(_Directories(connection, bucket).id)
    at = {"T": moment, "N": after}
    if after != FOREVER:
        connection.execute(_CONTINUE_AFTER, at)
    if previous_state(connection, bucket, moment) is not None:
        connection.executemany(_END, connection.execute(_END_FOR, at))
    if after != FOREVER:
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
    SELECT version.directory, version.name, :N, until, version.version_id, version.size, version.etag,
        version.last_modified, version.hidden, version.storage_class
    FROM {_CHANGED} CROSS JOIN version WHERE {_OF_CHANGED} AND since < :T AND until > :N"""
_END = "UPDATE version SET until = ?1 WHERE directory = ?2 AND name = ?3 AND since < ?1 AND until > ?1"
_END_FOR = f"SELECT :T, directory, name FROM {_CHANGED}"
# All columns are compared, because a `null` version that was overwritten in place keeps its id.
_BEGIN_EARLIER = """UPDATE version SET since = ?1 WHERE directory = ?3 AND name = ?4 AND since = ?2
    AND version_id = ?5 AND size = ?6 AND etag = ?7 AND last_modified = ?8"""
_BEGIN_EARLIER_FOR = f"""SELECT :T, :N, directory, name, version_id, size, etag, last_modified
    FROM {_CHANGED} WHERE version_id IS NOT NULL"""
_BEGIN = f"""INSERT INTO version ({_ROW})
    SELECT p.directory, c.name, :T, :N, version_id, size, etag, last_modified, hidden
    FROM {_CHANGED} WHERE version_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM version WHERE {_OF_CHANGED} AND since = :T)
    ORDER BY c.rowid"""
_AT = "directory = :directory AND name = :name"


def forget(connection: sqlite3.Connection, info: StateInfo) -> None:
    """Remove a state. The caller holds the transaction. Every other state stays as it is.

    T is its moment, N the next later state's. Rows that are current at T alone are deleted. Other rows that begin at T
    begin at N. Rows that end at T end at N, or are joined with the row of the same version that begins there.
    """
    bucket = bucket_id(connection, info.bucket)
    row = connection.execute("SELECT moment FROM state WHERE id = ?", (info.id,)).fetchone()
    if row is None:
        return
    scope = {"bucket": bucket, "T": row[0], "N": _next_moment(connection, bucket, row[0])}
    connection.execute(f"DELETE FROM version WHERE {_OURS} AND since = :T AND until <= :N", scope)
    connection.execute(f"UPDATE version SET since = :N WHERE {_OURS} AND since = :T", scope)
    _join(connection, scope)
    connection.execute(f"UPDATE version SET until = :N WHERE {_OURS} AND until = :T", scope)
    connection.execute("DELETE FROM state WHERE id = ?", (info.id,))


_OURS = "directory IN (SELECT id FROM directory WHERE bucket = :bucket)"


def _join(connection: sqlite3.Connection, scope: dict[str, int]) -> None:
    """Join two rows of one version that become adjacent by the removal."""
    pairs = connection.execute(
        """SELECT a.directory, a.name, a.since, b.until FROM version a JOIN version b
            ON b.directory = a.directory AND b.name = a.name AND b.since = :N AND b.version_id = a.version_id
            AND b.size = a.size AND b.etag = a.etag AND b.last_modified = a.last_modified
            WHERE a.until = :T AND a.directory IN (SELECT id FROM directory WHERE bucket = :bucket)""",
        scope,
    ).fetchall()
    for directory, name, since, until in pairs:
        at = {"directory": directory, "name": name, "since": since, "until": until, "N": scope["N"]}
        connection.execute(f"DELETE FROM version WHERE {_AT} AND since = :N", at)
        connection.execute(f"UPDATE version SET until = :until WHERE {_AT} AND since = :since", at)


def is_recorded(connection: sqlite3.Connection, info: StateInfo) -> bool:
    """Whether the state is recorded."""
    return connection.execute("SELECT 1 FROM state WHERE id = ?", (info.id,)).fetchone() is not None


def bucket_id(connection: sqlite3.Connection, name: str, *, create: bool = False) -> int:
    """The id of the bucket's row; 0 if it has none."""
    if create:
        connection.execute("INSERT OR IGNORE INTO bucket (name) VALUES (?)", (name,))
    row = connection.execute("SELECT id FROM bucket WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def free_moment(connection: sqlite3.Connection, bucket: int, captured_at: int) -> int:
    """The first millisecond of the state's second that no other state of the bucket has."""
    taken = {
        moment
        for (moment,) in connection.execute(
            "SELECT moment FROM state WHERE bucket = ? AND moment BETWEEN ? AND ?",
            (bucket, captured_at, captured_at + 999),
        )
    }
    for moment in range(captured_at, captured_at + 1000):
        if moment not in taken:
            return moment
    raise BadState(f"1,000 states of {iso(captured_at)} are recorded: there is no room for another")


def previous_state(connection: sqlite3.Connection, bucket: int, moment: int) -> str | None:
    """Id of the state before that moment, None without one."""
    row = connection.execute(
        "SELECT id FROM state WHERE bucket = ? AND moment < ? ORDER BY moment DESC LIMIT 1", (bucket, moment)
    ).fetchone()
    return None if row is None else str(row[0])


def _next_moment(connection: sqlite3.Connection, bucket: int, moment: int) -> int:
    row = connection.execute(
        "SELECT min(moment) FROM state WHERE bucket = ? AND moment > ?", (bucket, moment)
    ).fetchone()
    return FOREVER if row[0] is None else int(row[0])


class _Directories:
    """Directory ids by path; missing rows are inserted. Only the last path is cached, because paths come sorted."""

    def __init__(self, connection: sqlite3.Connection, bucket: int) -> None:
        self._connection = connection
        self._bucket = bucket
        self._root = self._row(0, "", hidden=False)
        self._last: tuple[str, int] = ("", self._root[0])

    def id(self, path: str) -> int:
        if path != self._last[0]:
            found, hidden = self._root
            for name in path.split("/")[:-1]:
                found, hidden = self._row(found, name, hidden=hidden or component_hidden_reason(name) is not None)
            self._last = (path, found)
        return self._last[1]

    def _row(self, parent: int, name: str, *, hidden: bool) -> tuple[int, bool]:
        where = (self._bucket, parent, pack(name))
        select = "SELECT id FROM directory WHERE bucket = ? AND parent = ? AND name = ?"
        row = self._connection.execute(select, where).fetchone()
        if row is None:
            row = self._connection.execute(
                "INSERT INTO directory (bucket, parent, name, hidden) VALUES (?, ?, ?, ?) RETURNING id",
                (*where, hidden),
            ).fetchone()
        return int(row[0]), hidden
