"""What audits found: the verdict on each state, and what a person has acknowledged."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from rwm.index.connection import errors, transaction
from rwm.index.directories import bucket_id
from rwm.location import Location
from rwm.model import Acknowledgement, Verdict


class Audits:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def record(self, verdicts: Mapping[str, Verdict], at: int) -> None:
        """Replace the verdicts on states, by their ids, by those of an audit at the time ``at`` (milliseconds)."""
        with errors(self._path), transaction(self._connection):
            self._connection.executemany(
                "UPDATE state SET verdict = ?, audited_at = ? WHERE id = ?",
                [(verdict, at, state_id) for state_id, verdict in verdicts.items()],
            )

    def acknowledge(self, bucket: str, acknowledgement: Acknowledgement) -> None:
        """Record that a person has judged; an earlier judgement of the same is replaced."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket, create=True)
            self._connection.execute(
                "INSERT OR REPLACE INTO acknowledgement VALUES (?, ?, ?, ?, ?)", (number, *acknowledgement)
            )

    def withdraw(self, bucket: str, what: str) -> bool:
        """Undo :meth:`acknowledge`; False if there was nothing."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket)
            done = self._connection.execute("DELETE FROM acknowledgement WHERE bucket = ? AND what = ?", (number, what))
            return done.rowcount > 0

    def acknowledged(self, location: Location) -> dict[str, Acknowledgement]:
        """What a person has judged in the bucket, by finding id or code."""
        with errors(self._path):
            rows = self._connection.execute(
                "SELECT what, until, at, note FROM acknowledgement WHERE bucket = ?",
                (bucket_id(self._connection, location.bucket),),
            )
            return {row[0]: Acknowledgement(*row) for row in rows}
