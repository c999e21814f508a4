"""A state that is ready to be recorded: its changes from the state before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rwm.index.change_table import ChangeTable
from rwm.index.connection import errors, transaction
from rwm.index.ledger import Ledger
from rwm.index.record import bucket_id, free_moment, is_recorded, previous_state, record
from rwm.model import Change, StateInfo, StoredFile, Trust

Compare = Callable[[str | None, ChangeTable], None]
"""Adds to the table the changes from the state of that id; all entries for None, if there is no state before."""


class PendingState:
    """Compares a state with the state before it, and records it. One at a time: its changes are in temporary tables.

    If another process records a state in between, the comparison is repeated.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, info: StateInfo, compare: Compare) -> None:
        self._connection = connection
        self._path = path
        self._compare = compare
        self.info = info
        self._find_changes()

    def _find_changes(self) -> None:
        with errors(self._path), self._reading():
            self.before = self._previous()
            self._changes = ChangeTable(self._connection)
            self._compare(self.before, self._changes)
            self.count = self._changes.count

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Hold a read transaction, so that writes of other processes are not seen."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:  # SQLite ends it by itself if the disk is full
                self._connection.execute("COMMIT")

    def changes(self) -> Iterator[Change]:
        """The changes from the state :attr:`before`, :attr:`count` of them, sorted by key."""
        with errors(self._path):
            yield from self._changes.read()

    def record(self, trust: Trust, stored: StoredFile | None) -> bool:
        """Record the state, in one short transaction. False if it is recorded already."""
        while not self._is_recorded():
            if self.try_to_record(trust, stored):
                return True
            self._find_changes()
        return False

    def try_to_record(self, trust: Trust, stored: StoredFile | None) -> bool:
        """Record the state, unless another process has recorded it, or a state in between."""
        with errors(self._path), transaction(self._connection):
            if self._is_recorded() or self._previous() != self.before:
                return False
            bucket = bucket_id(self._connection, self.info.bucket, create=True)
            record(
                self._connection, self._changes, self.info, free_moment(self._connection, bucket, self.info.captured_at)
            )
            Ledger(self._connection, self._path).note_new(self.info, trust, stored)
            return True

    def _is_recorded(self) -> bool:
        with errors(self._path):
            return is_recorded(self._connection, self.info)

    def _previous(self) -> str | None:
        bucket = bucket_id(self._connection, self.info.bucket)
        moment = free_moment(self._connection, bucket, self.info.captured_at)
        return previous_state(self._connection, bucket, moment)
