"""A state that is ready to be recorded: its changes from what was current before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rwm.errors import StateNotFound
from rwm.index.change_table import ChangeTable
from rwm.index.connection import errors, transaction
from rwm.index.directories import bucket_id
from rwm.index.ledger import Ledger
from rwm.index.record import is_recorded, record
from rwm.index.timeline import free_moment, previous_state, states_before
from rwm.model import Change, StateInfo, StoredFile, Trust


class Before(NamedTuple):
    """What is current below a state's prefix just before its moment, as the index has it.

    ``states`` are the ids of the states that say so, newest first (:func:`rwm.index.timeline.states_before`), and
    ``base`` is the last state of exactly the same location, None without one. Often it is the only one of ``states``.
    """

    states: tuple[str, ...]
    base: str | None

    @property
    def is_base(self) -> bool:
        """Whether the content is that of the state ``base``."""
        return self.base is not None and self.states == (self.base,)


class Comparison(NamedTuple):
    """How the changes of a state are found; both functions add to the table.

    ``compare`` adds the changes from what is current before the state's moment, which is passed. ``compare_base`` adds
    those from a recorded state.
    """

    compare: Callable[[Before, int, ChangeTable], None]
    compare_base: Callable[[str, ChangeTable], None] | None = None


class PendingState:
    """Compares a state with what was current before it, and records it.

    One at a time: its changes are in temporary tables. If another process records a state in between, the comparison
    is repeated.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, info: StateInfo, comparison: Comparison) -> None:
        self._connection = connection
        self._path = path
        self._comparison = comparison
        self._base_changes: ChangeTable | None = None
        self.info = info
        self._find_changes()

    def _find_changes(self) -> None:
        with errors(self._path), self._reading():
            self.before, moment = self._before()
            self._changes = ChangeTable(self._connection)
            self._comparison.compare(self.before, moment, self._changes)
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
        """The changes from what was current :attr:`before`, :attr:`count` of them, sorted by key."""
        return self._read(self._changes)

    def base_changes(self) -> tuple[int, Iterator[Change]] | None:
        """(number, changes) from the state ``before.base``; None without one, or if it was forgotten meanwhile.

        Compares the entries once more if states of other locations changed something since the base.
        """
        if self.before.is_base:
            return self.count, self.changes()
        if self.before.base is None or self._comparison.compare_base is None:
            return None
        with errors(self._path), self._reading():
            self._base_changes = ChangeTable(self._connection, "base_changed")
            try:
                self._comparison.compare_base(self.before.base, self._base_changes)
            except StateNotFound:
                return None
        return self._base_changes.count, self._read(self._base_changes)

    def _read(self, changes: ChangeTable) -> Iterator[Change]:
        with errors(self._path):
            yield from changes.read()

    def record(self, trust: Trust, stored: StoredFile | None) -> bool:
        """Record the state, in one short transaction. False if it is recorded already."""
        while not self._is_recorded():
            if self.try_to_record(trust, stored):
                return True
            self._find_changes()
        return False

    def try_to_record(self, trust: Trust, stored: StoredFile | None) -> bool:
        """Record the state, unless another process has recorded it, or changed what is before it."""
        with errors(self._path), transaction(self._connection):
            if self._is_recorded():
                return False
            before, moment = self._before()
            if before.states != self.before.states:
                return False
            record(self._connection, self._changes, self.info, moment)
            if self._base_changes:
                self._base_changes.close()
            Ledger(self._connection, self._path).note_new(self.info, trust, stored)
            return True

    def _is_recorded(self) -> bool:
        with errors(self._path):
            return is_recorded(self._connection, self.info)

    def _before(self) -> tuple[Before, int]:
        """What is before the state, and the moment that it would get now."""
        bucket = bucket_id(self._connection, self.info.bucket)
        moment = free_moment(self._connection, bucket, self.info.prefix, self.info.captured_at)
        at = (self._connection, bucket, self.info.prefix, moment)
        return Before(tuple(state.id for state in states_before(*at)), previous_state(*at)), moment
