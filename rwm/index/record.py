"""Writing one state into the intervals, between whichever states are there already."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from rwm.index.schema import FOREVER
from rwm.model import Entry, StateInfo
from rwm.names import component_hidden_reason, split


def record(connection: sqlite3.Connection, info: StateInfo, entries: Iterable[Entry]) -> None:
    """Add a state that is not there yet. The caller holds the transaction.

    The rows current at the new moment T are exactly the state's entries afterwards, and those current at every other
    moment are what they were. N is the next later state's moment, FOREVER without one.
    """
    bucket = bucket_id(connection, info.bucket, create=True)
    moment = _free_moment(connection, bucket, info.captured_at)
    after = _next_moment(connection, bucket, moment)
    _spread(connection, bucket, entries)
    scope = {"bucket": bucket, "T": moment, "N": after}
    _end_what_vanished(connection, scope)
    _begin_what_appeared(connection, scope)
    connection.execute("DROP TABLE temp.arriving")
    connection.execute(
        "INSERT INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (info.id, bucket, moment, info.captured_at, info.origin, info.outcome, info.objects, info.bytes),
    )


def forget(connection: sqlite3.Connection, info: StateInfo) -> None:
    """Take a state out again. The caller holds the transaction. Every other moment stays as it is.

    What was current at the state's moment T alone goes; what began at T begins at N, what ended at T ends at N.
    """
    bucket = bucket_id(connection, info.bucket)
    row = connection.execute("SELECT moment FROM state WHERE id = ?", (info.id,)).fetchone()
    if row is None:
        return
    scope = {"bucket": bucket, "T": row[0], "N": _next_moment(connection, bucket, row[0])}
    connection.execute(f"DELETE FROM version WHERE {_OURS} AND since = :T AND until <= :N", scope)
    connection.execute(f"UPDATE version SET since = :N WHERE {_OURS} AND since = :T", scope)
    connection.execute(f"UPDATE version SET until = :N WHERE {_OURS} AND until = :T", scope)
    connection.execute("DELETE FROM state WHERE id = ?", (info.id,))


def bucket_id(connection: sqlite3.Connection, name: str, *, create: bool = False) -> int:
    """The bucket's row; 0 when it has none."""
    if create:
        connection.execute("INSERT OR IGNORE INTO bucket (name) VALUES (?)", (name,))
    row = connection.execute("SELECT id FROM bucket WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _free_moment(connection: sqlite3.Connection, bucket: int, captured_at: int) -> int:
    """The first millisecond of the state's second that no other state of the bucket has."""
    taken = {
        moment
        for (moment,) in connection.execute(
            "SELECT moment FROM state WHERE bucket = ? AND moment BETWEEN ? AND ?",
            (bucket, captured_at, captured_at + 999),
        )
    }
    return next(moment for moment in range(captured_at, captured_at + 1000) if moment not in taken)


def _next_moment(connection: sqlite3.Connection, bucket: int, moment: int) -> int:
    row = connection.execute(
        "SELECT min(moment) FROM state WHERE bucket = ? AND moment > ?", (bucket, moment)
    ).fetchone()
    return FOREVER if row[0] is None else int(row[0])


def _spread(connection: sqlite3.Connection, bucket: int, entries: Iterable[Entry]) -> None:
    """The entries as rows by directory and name, in temp.arriving."""
    connection.execute("DROP TABLE IF EXISTS temp.arriving")
    connection.execute(
        "CREATE TEMP TABLE arriving (directory INTEGER, name TEXT, version_id TEXT, size INTEGER, etag TEXT, "
        "last_modified INTEGER, hidden INTEGER, PRIMARY KEY (directory, name)) WITHOUT ROWID"
    )
    directories = _Directories(connection, bucket)

    def rows() -> Iterable[tuple[int, str, str, int, str, int, int]]:
        for key, version_id, size, etag, last_modified in entries:
            path, name = split(key)
            hidden = component_hidden_reason(name) is not None
            yield directories.id(path), name, version_id, size, etag, last_modified, hidden

    connection.executemany("INSERT INTO temp.arriving VALUES (?, ?, ?, ?, ?, ?, ?)", rows())


class _Directories:
    """Directory ids by path, made when they are not there. Keeps the last path only: entries come sorted."""

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
        where = (self._bucket, parent, name)
        select = "SELECT id FROM directory WHERE bucket = ? AND parent = ? AND name = ?"
        row = self._connection.execute(select, where).fetchone()
        if row is None:
            row = self._connection.execute(
                "INSERT INTO directory (bucket, parent, name, hidden) VALUES (?, ?, ?, ?) RETURNING id",
                (*where, hidden),
            ).fetchone()
        return int(row[0]), hidden


# A `null` version that was overwritten in place keeps its id and is another one all the same.
_SAME = (
    "a.directory = version.directory AND a.name = version.name AND a.version_id = version.version_id "
    "AND a.size = version.size AND a.etag = version.etag AND a.last_modified = version.last_modified"
)
_OURS = "directory IN (SELECT id FROM directory WHERE bucket = :bucket)"
_VANISHED = f"""{_OURS} AND since < :T AND until > :T AND NOT EXISTS (
    SELECT 1 FROM temp.arriving a WHERE {_SAME})"""


def _end_what_vanished(connection: sqlite3.Connection, scope: dict[str, int]) -> None:
    """Rows that go across T without being in the state: they end at T, and go on at N if they are current there."""
    connection.execute(
        f"""INSERT INTO version
            SELECT directory, name, :N, until, version_id, size, etag, last_modified, hidden
            FROM version WHERE {_VANISHED} AND until > :N""",
        scope,
    )
    connection.execute(f"UPDATE version SET until = :T WHERE {_VANISHED}", scope)


def _begin_what_appeared(connection: sqlite3.Connection, scope: dict[str, int]) -> None:
    """Entries without a row at T: the row that begins at N begins at T from now on, else there is a new one."""
    connection.execute(
        """DELETE FROM temp.arriving WHERE EXISTS (
            SELECT 1 FROM version v WHERE v.directory = arriving.directory AND v.name = arriving.name
            AND v.since < :T AND v.until > :T)""",
        scope,
    )
    connection.execute(
        f"""UPDATE version SET since = :T WHERE {_OURS} AND since = :N AND EXISTS (
            SELECT 1 FROM temp.arriving a WHERE {_SAME})""",
        scope,
    )
    connection.execute(
        """INSERT INTO version
            SELECT directory, name, :T, :N, version_id, size, etag, last_modified, hidden FROM temp.arriving a
            WHERE NOT EXISTS (
                SELECT 1 FROM version v
                WHERE v.directory = a.directory AND v.name = a.name AND v.since = :T)""",
        scope,
    )
