"""Frozen buckets: what a thaw brings back, and who is frozen."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rwm.index.connection import errors, transaction
from rwm.index.directories import bucket_id
from rwm.model import Freeze, FrozenUser


class Freezes:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def get(self, bucket: str) -> Freeze | None:
        """The freeze of the bucket, None if there is none."""
        with errors(self._path):
            number = bucket_id(self._connection, bucket)
            found = self._connection.execute(
                "SELECT admin, policy, lifecycle FROM freeze WHERE bucket = ?", (number,)
            ).fetchone()
            if found is None:
                return None
            users = self._connection.execute(
                "SELECT user, reads, since, note FROM frozen_user WHERE bucket = ? ORDER BY user", (number,)
            )
            frozen = tuple(FrozenUser(user, bool(reads), since, note) for user, reads, since, note in users)
            admin, policy, lifecycle = found
            return Freeze(bucket, admin, policy and json.loads(policy), json.loads(lifecycle), frozen)

    def begin(self, freeze: Freeze) -> None:
        """Record a freeze with its users. One that is recorded keeps its former settings and gets the users too.

        A user that is frozen already keeps its time and note.
        """
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, freeze.bucket, create=True)
            policy = None if freeze.policy is None else _json(freeze.policy)
            self._connection.execute(
                "INSERT OR IGNORE INTO freeze VALUES (?, ?, ?, ?)",
                (number, freeze.admin, policy, _json(freeze.lifecycle)),
            )
            self._add(number, freeze.users)

    def add(self, bucket: str, users: Iterable[FrozenUser]) -> bool:
        """Freeze more users of a frozen bucket; False, and nothing is recorded, if it is not frozen any more."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket)
            if not self._connection.execute("SELECT 1 FROM freeze WHERE bucket = ?", (number,)).fetchone():
                return False
            self._add(number, users)
            return True

    def _add(self, number: int, users: Iterable[FrozenUser]) -> None:
        self._connection.executemany(
            "INSERT INTO frozen_user VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET reads = excluded.reads",
            [(number, *user) for user in users],
        )

    def remove(self, bucket: str, users: Iterable[str]) -> None:
        """Thaw users. The former settings stay recorded until :meth:`end`."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket)
            self._connection.executemany(
                "DELETE FROM frozen_user WHERE bucket = ? AND user = ?", [(number, user) for user in users]
            )

    def end(self, bucket: str) -> bool:
        """Remove the freeze of a bucket; False if users are frozen."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket)
            if self._connection.execute("SELECT 1 FROM frozen_user WHERE bucket = ?", (number,)).fetchone():
                return False
            self._connection.execute("DELETE FROM freeze WHERE bucket = ?", (number,))
            return True


def _json(value: Any) -> str:
    """JSON text; the times in a lifecycle rule in ISO 8601."""
    return json.dumps(value, default=lambda time: time.isoformat())
