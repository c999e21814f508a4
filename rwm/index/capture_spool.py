"""The entries of a capture in a temporary file and temporary tables; memory is bounded."""

from __future__ import annotations

import heapq
import marshal
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import lt
from typing import Self

from rwm.errors import BadResponse
from rwm.index.batches import diff_batches, entry_batches
from rwm.index.class_table import ClassTable
from rwm.index.connection import TEMPORARY, errors
from rwm.model import Change, Entry, EntryBatch, ListedClasses
from rwm.private import spool_directory

_SCHEMA = """
    DROP TABLE IF EXISTS temp.block;
    DROP TABLE IF EXISTS temp.single;
    -- Entries sorted by key: where their marshalled columns are in the file, in half the CPU time of BLOBs.
    -- The key ranges of two blocks never overlap.
    CREATE TEMP TABLE block (first TEXT PRIMARY KEY, last TEXT, position INTEGER, length INTEGER) STRICT;
    -- All other entries, one by one.
    CREATE TEMP TABLE single (
        key TEXT PRIMARY KEY, version_id TEXT, size INTEGER, etag TEXT, last_modified INTEGER
    ) STRICT, WITHOUT ROWID;
"""


class CaptureSpool:
    """Takes entries in any order, returns them sorted by key. No reader of the index sees its temporary tables.

    A listing is sorted over long stretches, so most entries are kept as blocks, at a fraction of the cost of rows.
    SQLite sorts the others. To be closed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._objects = self._bytes = 0
        self._end = 0  # bytes of the file that are used
        self._owns_connection = False
        self.classes = ClassTable(connection)
        """The storage classes that the listing shows, of noncurrent versions too."""
        with errors(TEMPORARY):
            connection.executescript(_SCHEMA)
            self._file = tempfile.TemporaryFile(buffering=0, dir=spool_directory())  # noqa: SIM115 - see close()

    @classmethod
    def temporary(cls) -> Self:
        """A spool without an index, in a temporary database of its own."""
        spool = cls(sqlite3.connect("", isolation_level=None))
        spool._owns_connection = True
        return spool

    def add(self, batches: Iterable[EntryBatch | ListedClasses]) -> None:
        """Spool entries, all or none. Raises BadResponse if a key comes twice, which no consistent listing has."""
        with errors(TEMPORARY), self._transaction():
            for batch in batches:
                if isinstance(batch, ListedClasses):
                    self.classes.add(batch)
                else:
                    self._add(batch)

    def _add(self, batch: EntryBatch) -> None:
        if not _is_sorted(batch.keys):
            batch = EntryBatch.of(sorted(batch.entries()))
            if not _is_sorted(batch.keys):
                raise _listed_twice()
        first, last = batch.keys[0], batch.keys[-1]
        while (overlapping := self._find_overlap(first, last)) is not None:
            self._replace_block(overlapping)
        within = "SELECT 1 FROM temp.single WHERE key BETWEEN ? AND ? LIMIT 1"
        if self._connection.execute(within, (first, last)).fetchone():
            self._add_singles(batch)
        else:
            self._add_block(batch)
        self._objects += len(batch.keys)
        self._bytes += sum(batch.sizes)

    def _add_block(self, batch: EntryBatch) -> None:
        columns = memoryview(marshal.dumps(tuple(map(tuple, batch))))
        row = (batch.keys[0], batch.keys[-1], self._end, len(columns))
        self._connection.execute("INSERT INTO temp.block VALUES (?, ?, ?, ?)", row)
        while columns:
            written = os.pwrite(self._file.fileno(), columns, self._end)
            self._end += written
            columns = columns[written:]

    def _read_block(self, position: int, length: int) -> EntryBatch:
        columns = os.pread(self._file.fileno(), length, position)
        return EntryBatch(*marshal.loads(columns))  # noqa: S302 - written by this object

    def _find_overlap(self, first: str, last: str) -> int | None:
        """The row id of a block whose key range overlaps the given one."""
        block = self._connection.execute(
            "SELECT rowid, last FROM temp.block WHERE first <= ? ORDER BY first DESC LIMIT 1", (last,)
        ).fetchone()
        return None if block is None or block[1] < first else int(block[0])

    def _replace_block(self, block: int) -> None:
        """Replace a block by single entries."""
        place = self._connection.execute("SELECT position, length FROM temp.block WHERE rowid = ?", (block,)).fetchone()
        self._connection.execute("DELETE FROM temp.block WHERE rowid = ?", (block,))
        self._add_singles(self._read_block(*place))

    def _add_singles(self, batch: EntryBatch) -> None:
        try:
            self._connection.executemany("INSERT INTO temp.single VALUES (?, ?, ?, ?, ?)", batch.entries())
        except sqlite3.IntegrityError as error:
            raise _listed_twice() from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        before = self._objects, self._bytes, self._end
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._objects, self._bytes, self._end = before
            if self._connection.in_transaction:  # SQLite ends it by itself if the disk is full
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def discard(self, keys: Iterable[str]) -> None:
        """Remove the entries of these keys."""
        with errors(TEMPORARY), self._transaction():
            for key in keys:
                if (block := self._find_overlap(key, key)) is not None:
                    self._replace_block(block)
                removed = self._connection.execute("DELETE FROM temp.single WHERE key = ? RETURNING size", (key,))
                for (size,) in removed.fetchall():
                    self._objects -= 1
                    self._bytes -= size

    def totals(self) -> tuple[int, int]:
        """(number of objects, sum of their bytes)."""
        return self._objects, self._bytes

    def batches(self) -> Iterator[EntryBatch]:
        """All entries, sorted by key (by byte)."""
        with errors(TEMPORARY):
            done = ""
            blocks = self._connection.execute("SELECT last, position, length FROM temp.block ORDER BY first")
            for last, *place in blocks:
                block, singles = self._read_block(*place), self._singles(done, last)
                if (single := next(singles, None)) is None:
                    yield block
                else:
                    yield from entry_batches(heapq.merge(block.entries(), [single], singles))
                done = last
            yield from entry_batches(self._singles(done))

    def _singles(self, after: str, before: str | None = None) -> Iterator[Entry]:
        rows = self._connection.execute(
            "SELECT * FROM temp.single WHERE key > ? AND (?2 IS NULL OR key < ?2) ORDER BY key", (after, before)
        )
        return map(Entry._make, rows)

    def entries(self) -> Iterator[Entry]:
        """All entries one by one, sorted by key."""
        for batch in self.batches():
            yield from batch.entries()

    def differences(self, before: Iterable[EntryBatch]) -> Iterator[Change]:
        """The changes from the state ``before``."""
        return diff_batches(before, self.batches())

    def close(self) -> None:
        """Free the space."""
        self._file.close()
        with errors(TEMPORARY):
            self._connection.execute("DROP TABLE IF EXISTS temp.block")
            self._connection.execute("DROP TABLE IF EXISTS temp.single")
        self.classes.close()
        if self._owns_connection:
            self._connection.close()


def _is_sorted(keys: Sequence[str]) -> bool:
    """Whether each key is greater than the one before."""
    return all(map(lt, keys, islice(keys, 1, None)))


def _listed_twice() -> BadResponse:
    return BadResponse("a key was listed twice, in two places of the version listing")
