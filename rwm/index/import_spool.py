"""The entries of an imported state in a temporary table, to which deltas are applied; memory is bounded."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain

from rwm.errors import BadResponse, BadState
from rwm.index.batches import entry_batches
from rwm.index.connection import TEMPORARY, errors
from rwm.model import Change, Entry, EntryBatch
from rwm.statefile import entry_text
from rwm.times import parse_iso

_BATCH = 1000


class ImportSpool:
    """Takes entries in any order, returns them sorted by key. No reader of the index sees its temporary tables.

    An entry is stored as its line of the canonical form: the id of the state is computed after each delta.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with errors(TEMPORARY):
            connection.execute("DROP TABLE IF EXISTS temp.incoming")
            connection.execute(
                "CREATE TEMP TABLE incoming (key TEXT PRIMARY KEY, size INTEGER, line TEXT) STRICT, WITHOUT ROWID"
            )

    def add(self, entries: Iterable[Entry]) -> None:
        """Spool entries. Raises BadResponse if a key comes twice."""
        self._insert((entry[0], entry[2], entry_text(entry)) for entry in entries)

    def add_latest(self, latest: Iterable[Change]) -> None:
        """Spool the latest version of each key; deleted keys are dropped at the end.

        Raises BadResponse at a repeated key, deleted or not, before it reads the next change.
        """
        self._insert((key, 0, None) if entry is None else (key, entry.size, entry_text(entry)) for key, entry in latest)
        with errors(TEMPORARY):
            self._connection.execute("DELETE FROM temp.incoming WHERE line IS NULL")

    def _insert(self, rows: Iterable[tuple[str, int, str | None]]) -> None:
        with errors(TEMPORARY):
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany("INSERT INTO temp.incoming VALUES (?, ?, ?)", rows)
            except sqlite3.IntegrityError as error:
                raise BadResponse("a key was listed twice, in two places of the version listing") from error
            finally:
                self._commit()

    def clear(self) -> None:
        """Remove all entries."""
        with errors(TEMPORARY):
            self._connection.execute("DELETE FROM temp.incoming")

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply a delta. Raises BadState if it removes a key that is not spooled."""
        with errors(TEMPORARY):
            self._connection.execute("BEGIN")
            try:
                for key, entry in changes:
                    if entry is not None:
                        row = (key, entry.size, entry_text(entry))
                        self._connection.execute("INSERT OR REPLACE INTO temp.incoming VALUES (?, ?, ?)", row)
                    elif not self._connection.execute("DELETE FROM temp.incoming WHERE key = ?", (key,)).rowcount:
                        raise BadState(f"the key {key!r} is removed, but the state before does not have it")
            finally:
                self._commit()

    def _commit(self) -> None:
        if self._connection.in_transaction:  # SQLite ends it by itself if the disk is full
            self._connection.execute("COMMIT")

    def totals(self) -> tuple[int, int]:
        """(number of objects, sum of their bytes)."""
        with errors(TEMPORARY):
            # Summed in two halves: the sizes in a forged file may add up to more than an integer of SQLite.
            objects, high, low = self._connection.execute(
                "SELECT count(*), coalesce(sum(size >> 32), 0), coalesce(sum(size & 0xffffffff), 0) FROM temp.incoming"
            ).fetchone()
        return int(objects), (int(high) << 32) + int(low)

    def lines(self) -> Iterator[str]:
        """The lines of the canonical form without its header, sorted by key (by byte)."""
        with errors(TEMPORARY):
            cursor = self._connection.execute("SELECT line FROM temp.incoming ORDER BY key")
            while rows := cursor.fetchmany(_BATCH):
                for (line,) in rows:
                    yield line

    def entries(self) -> Iterator[Entry]:
        """All entries, sorted by key (by byte)."""
        return map(_entry, self.lines())

    def batches(self) -> Iterator[EntryBatch]:
        """All entries in batches, sorted by key."""
        return entry_batches(self.entries())

    def differences(self, before: Iterable[EntryBatch]) -> Iterator[Change]:
        """The changes from the state ``before``. Only lines that differ are parsed."""
        with errors(TEMPORARY):
            cursor = self._connection.execute("SELECT key, line FROM temp.incoming ORDER BY key")
            yield from _differences(chain.from_iterable(batch.entries() for batch in before), cursor)

    def close(self) -> None:
        """Free the space."""
        with errors(TEMPORARY):
            self._connection.execute("DROP TABLE IF EXISTS temp.incoming")


def _entry(line: str) -> Entry:
    value = json.loads(line)
    return Entry(**{**value, "last_modified": parse_iso(value["last_modified"])})


def _differences(before: Iterator[Entry], after: Iterator[tuple[str, str]]) -> Iterator[Change]:
    old, new = next(before, None), next(after, None)
    while old is not None and new is not None:
        key, line = new
        if old.key == key:
            if entry_text(old) != line:
                yield Change(key, _entry(line))
            old, new = next(before, None), next(after, None)
        elif old.key < key:
            yield Change(old.key, None)
            old = next(before, None)
        else:
            yield Change(key, _entry(line))
            new = next(after, None)
    while old is not None:
        yield Change(old.key, None)
        old = next(before, None)
    while new is not None:
        yield Change(new[0], _entry(new[1]))
        new = next(after, None)
