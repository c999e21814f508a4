"""Forget states: shorten and join the intervals of the table ``version``."""

from __future__ import annotations

import sqlite3

from rwm.index.directories import SUBTREE, find_directory
from rwm.index.schema import FOREVER
from rwm.index.timeline import states_after


def forget(connection: sqlite3.Connection, state_id: str) -> None:
    """Remove a state, if it is recorded. The caller holds the transaction. Every other state stays as it is.

    T is its moment; N, of each directory, that of the next later state that covers it. Of the rows below the state's
    prefix, those that are current at T alone are deleted. Others that begin at T begin at N. Rows that end at T end
    at N, or are joined with the row of the same version that begins there.
    """
    row = connection.execute("SELECT bucket, prefix, moment FROM state WHERE id = ?", (state_id,)).fetchone()
    if row is None:
        return
    bucket, prefix, moment = row
    _create_scope(connection, bucket, prefix, moment)
    at = {"T": moment}
    connection.execute(f"DELETE FROM version WHERE {_IN_SCOPE} AND since = :T AND until <= {_NEXT}", at)
    connection.execute(f"UPDATE version SET since = {_NEXT} WHERE {_IN_SCOPE} AND since = :T", at)
    _join(connection, moment)
    connection.execute(f"UPDATE version SET until = {_NEXT} WHERE {_IN_SCOPE} AND until = :T", at)
    connection.execute("DELETE FROM state WHERE id = ?", (state_id,))
    connection.execute("DROP TABLE temp.scope")


_IN_SCOPE = "directory IN (SELECT directory FROM temp.scope)"
_NEXT = "(SELECT after FROM temp.scope WHERE scope.directory = version.directory)"


def _create_scope(connection: sqlite3.Connection, bucket: int, prefix: str, moment: int) -> None:
    """A temporary table of the directories below ``prefix``, each with its N (``after``)."""
    connection.execute("DROP TABLE IF EXISTS temp.scope")
    connection.execute("CREATE TEMP TABLE scope (directory INTEGER PRIMARY KEY, after INTEGER NOT NULL) STRICT")
    later = states_after(connection, bucket, prefix, moment)
    default = later.pop().moment if later and prefix.startswith(later[-1].prefix) else FOREVER
    connection.execute(
        f"INSERT INTO temp.scope SELECT id, :after FROM directory WHERE id IN {SUBTREE}",
        {"root": find_directory(connection, bucket, prefix), "after": default},
    )
    for state in reversed(later):  # an earlier one replaces a later one
        connection.execute(
            f"UPDATE temp.scope SET after = :after WHERE directory IN {SUBTREE}",
            {"root": find_directory(connection, bucket, state.prefix), "after": state.moment},
        )


def _join(connection: sqlite3.Connection, moment: int) -> None:
    """Join two rows of one version that become adjacent by the removal."""
    pairs = connection.execute(
        """SELECT b.until, b.since, a.directory, a.name, a.since
            FROM temp.scope s CROSS JOIN version a ON a.directory = s.directory JOIN version b
            ON b.directory = a.directory AND b.name = a.name AND b.since = s.after AND b.version_id = a.version_id
            AND b.size = a.size AND b.etag = a.etag AND b.last_modified = a.last_modified
            WHERE a.until = ?""",
        (moment,),
    ).fetchall()
    for until, joined, *row in pairs:
        connection.execute("DELETE FROM version WHERE directory = ? AND name = ? AND since = ?", (*row[:2], joined))
        connection.execute("UPDATE version SET until = ? WHERE directory = ? AND name = ? AND since = ?", (until, *row))
