"""Operations that this computer ran on buckets, and the versions and delete markers that they wrote or removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from rwm.index.connection import errors, transaction
from rwm.index.directories import bucket_id
from rwm.location import Location
from rwm.model import Operation, OperationChange, OwnChange

_PAGE = 1000


class Operations:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def begin(self, operation: Operation) -> None:
        """Record an operation before its first change."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, operation.location.bucket, create=True)
            self._connection.execute(
                "INSERT INTO operation (id, kind, bucket, prefix, at, account, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (operation.id, operation.kind, number, operation.location.prefix, *operation[3:6]),
            )

    def cancel(self, operation: Operation) -> None:
        """Take back the record of an operation that could not begin."""
        with errors(self._path), transaction(self._connection):
            self._connection.execute("DELETE FROM operation WHERE id = ?", (operation.id,))

    def add(self, operation_id: str, changes: Iterable[OperationChange]) -> None:
        """Record what an operation did, in one transaction."""
        with errors(self._path), transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO operation_change (operation, did, key, version_id, source, before, at, why) "
                "SELECT number, ?, ?, ?, ?, ?, ?, ? FROM operation WHERE id = ?",
                ((*change[:7], operation_id) for change in changes),
            )

    def end(self, operation: Operation) -> None:
        """Record when an operation ended."""
        with errors(self._path), transaction(self._connection):
            self._connection.execute(
                "UPDATE operation SET ended_at = ? WHERE id = ?", (operation.ended_at, operation.id)
            )

    def recorded(self, bucket: str) -> list[Operation]:
        """The operations on a bucket, oldest first."""
        query = (
            "SELECT id, kind, prefix, at, account, note, ended_at FROM operation WHERE bucket = ? ORDER BY at, number"
        )
        with errors(self._path):
            rows = self._connection.execute(query, (bucket_id(self._connection, bucket),)).fetchall()
        return [Operation(id, kind, Location(bucket, prefix), *rest) for id, kind, prefix, *rest in rows]

    def ids(self, bucket: str) -> set[str]:
        """The ids of the operations on a bucket."""
        return {operation.id for operation in self.recorded(bucket)}

    def changes(self, location: Location, operation_id: str | None = None) -> Iterator[OwnChange]:
        """What all operations, or one, did to keys below a location, in the order of recording."""
        query = (
            "SELECT c.number, o.at, c.did, c.key, c.version_id, c.source, c.before, c.at, c.why "
            "FROM operation_change c JOIN operation o ON o.number = c.operation "
            "WHERE o.bucket = ?1 AND substr(c.key, 1, length(?2)) = ?2 AND c.number > ?3 AND (?4 IS NULL OR o.id = ?4) "
            "ORDER BY c.number LIMIT ?5"
        )
        last = 0
        while True:
            with errors(self._path):
                number = bucket_id(self._connection, location.bucket)
                values = (number, location.prefix, last, operation_id, _PAGE)
                rows = self._connection.execute(query, values).fetchall()
            yield from (OwnChange(row[1], OperationChange(*row[2:])) for row in rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]
