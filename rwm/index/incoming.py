"""A state on its way into the index: spooled to a temporary table, so that memory does not grow with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from rwm.errors import BadResponse
from rwm.index.connection import errors
from rwm.model import Entry

_BATCH = 1000


class Incoming:
    """Entries in any order in, sorted by key out. Nothing of it is seen in the index until it is recorded."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with errors("(temporary)"):
            connection.execute("DROP TABLE IF EXISTS temp.incoming")
            connection.execute(
                "CREATE TEMP TABLE incoming (key TEXT PRIMARY KEY, version_id TEXT, size INTEGER, etag TEXT, "
                "last_modified INTEGER) WITHOUT ROWID"
            )

    def add(self, entries: Iterable[Entry]) -> None:
        """Spool entries. Raises BadResponse when a key comes twice: the listing was not one."""
        with errors("(temporary)"):
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany("INSERT INTO temp.incoming VALUES (?, ?, ?, ?, ?)", entries)
            except sqlite3.IntegrityError as error:
                raise BadResponse("a key was listed twice, in two places of the version listing") from error
            finally:
                self._connection.execute("COMMIT")

    def totals(self) -> tuple[int, int]:
        """(number of objects, sum of their bytes)."""
        with errors("(temporary)"):
            row = self._connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM temp.incoming").fetchone()
        return int(row[0]), int(row[1])

    def entries(self) -> Iterator[Entry]:
        """All of them, sorted by key (by byte)."""
        with errors("(temporary)"):
            cursor = self._connection.execute("SELECT * FROM temp.incoming ORDER BY key")
            while rows := cursor.fetchmany(_BATCH):
                yield from map(Entry._make, rows)

    def close(self) -> None:
        """Free the space."""
        with errors("(temporary)"):
            self._connection.execute("DROP TABLE IF EXISTS temp.incoming")
