"""The index as the rest of RWM sees it: record a state, find one, read it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from rwm.errors import IndexDamaged, StateNotFound
from rwm.index import walk
from rwm.index.batches import EntryList, EntrySource
from rwm.index.capture_spool import CaptureSpool
from rwm.index.change_table import ChangeTable
from rwm.index.connection import REBUILD, connect, errors, transaction
from rwm.index.find import Finder
from rwm.index.import_spool import ImportSpool
from rwm.index.ledger import Ledger
from rwm.index.packed import pack
from rwm.index.pending import PendingState
from rwm.index.record import bucket_id, forget, is_recorded
from rwm.index.references import References
from rwm.index.tree import IndexTree
from rwm.index.upload_order import PackOrder
from rwm.model import Change, Difference, Entry, EntryBatch, RecordedState, StateInfo, StoredFile, Trust


class Index:
    """States of any number of buckets in one SQLite file. One thread at a time; many processes."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._finder = Finder(connection, path)
        self.ledger = Ledger(connection, path)
        self.path = path

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Self:
        """Open it, or make it. Raises IndexDamaged, or IndexUnusable: no right, or written by a newer version."""
        return cls(connect(path, readonly=readonly), path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Read the whole file. Raises IndexDamaged, with the first thing that is wrong."""
        with errors(self.path):
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise IndexDamaged(f"index {self.path}: {' '.join(found.split())}", hint=REBUILD)

    # --- recording

    def capture_spool(self) -> CaptureSpool:
        """A spool for the entries of a state that is captured. One at a time."""
        return CaptureSpool(self._connection)

    def import_spool(self) -> ImportSpool:
        """A spool for a state that is imported. One at a time."""
        return ImportSpool(self._connection)

    def arrival(self, info: StateInfo, entries: Iterable[Entry] | EntrySource) -> PendingState:
        """Compare a state, its entries sorted by key, with the state before it. Nothing is recorded yet."""
        source = entries if isinstance(entries, EntrySource) else EntryList(entries)

        def compare(before: str | None, changes: ChangeTable) -> None:
            if before and (known := self.by_id(before)):
                changes.add(source.differences(self.batches(known)))
            else:
                changes.add_new(source.batches())

        return PendingState(self._connection, self.path, info, compare)

    def record(
        self,
        info: StateInfo,
        entries: Iterable[Entry] | EntrySource,
        *,
        trust: Trust = "own",
        stored: StoredFile | None = None,
    ) -> bool:
        """Add a state, its entries sorted by key, in one transaction; False when it is there already."""
        return not self.has(info) and self.arrival(info, entries).record(trust, stored)

    def record_changes(
        self,
        info: StateInfo,
        base: StateInfo,
        changes: Iterable[Change],
        *,
        trust: Trust = "own",
        stored: StoredFile | None = None,
    ) -> bool:
        """Add a state by what it has otherwise than ``base``, sorted by key, at a cost of what changed.

        False when that cannot be: ``base`` is not the state before it, or the state is there already.
        """

        def compare(before: str | None, table: ChangeTable) -> None:
            if before == base.id:
                table.add(changes)

        arrival = PendingState(self._connection, self.path, info, compare)
        return arrival.before == base.id and arrival.try_to_record(trust, stored)

    def forget(self, states: Iterable[StateInfo]) -> None:
        """Take states out, each in one transaction, for good: sync does not bring them back.

        Those that are not there are passed over.
        """
        with errors(self.path):
            for info in states:
                with transaction(self._connection):
                    if self.has(info):
                        forget(self._connection, info)
                        self.ledger.pass_over(info.bucket, info.id, "forgotten")

    # --- finding

    def has(self, info: StateInfo) -> bool:
        """Whether the state is recorded."""
        with errors(self.path):
            return is_recorded(self._connection, info)

    def by_id(self, state_id: str) -> StateInfo | None:
        """The state with that full id, None when it is not recorded."""
        found = self._finder.where("s.id = ?", (state_id,))
        return found[0].info if found else None

    def trust(self, info: StateInfo) -> Trust:
        """What is known of the state's truth. Raises StateNotFound."""
        found = self._finder.where("s.id = ?", (info.id,))
        if not found:
            raise StateNotFound(f"state {info.id[:12]} is not in the index")
        return found[0].trust

    def recorded(self, bucket: str | None = None) -> list[RecordedState]:
        """All states, or one bucket's, oldest first, with what is known of their truth."""
        if bucket is None:
            return self._finder.where("1 ORDER BY s.moment, b.name")
        return self._finder.where("b.name = ? ORDER BY s.moment", (bucket,))

    def states(self, bucket: str | None = None) -> list[StateInfo]:
        """All states, or one bucket's, oldest first."""
        return [state.info for state in self.recorded(bucket)]

    def resolve(self, text: str, bucket: str | None = None) -> StateInfo:
        """The one state that a person means: a full id, a unique prefix, ``latest``, or the last one by a UTC time.

        ``latest`` and times need a bucket, and pass over states that the bucket's history does not confirm. Raises
        StateNotFound (none, or several) and UsageError.
        """
        return self._finder.resolve(text, bucket)

    def moment(self, info: StateInfo) -> int:
        """The state's place on its bucket's time line. Raises StateNotFound when it is not recorded."""
        with errors(self.path):
            row = self._connection.execute("SELECT moment FROM state WHERE id = ?", (info.id,)).fetchone()
        if row is None:
            raise StateNotFound(f"state {info.id[:12]} is not in the index")
        return int(row[0])

    def moments(self, bucket: str) -> dict[str, int]:
        """Those places of all states of the bucket, by id."""
        with errors(self.path):
            return dict(
                self._connection.execute(
                    "SELECT s.id, s.moment FROM state s JOIN bucket b ON b.id = s.bucket WHERE b.name = ?", (bucket,)
                )
            )

    def changes(self) -> int:
        """A number that is another one when somebody else has changed the index since. Costs next to nothing."""
        with errors(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    # --- reading

    def tree(self, info: StateInfo) -> IndexTree:
        """The state as directories, for a mount."""
        return IndexTree(self._connection, self.path, info, self._root(info.bucket), self.moment(info))

    def upload_order(self, info: StateInfo) -> PackOrder:
        """Its packs in the order of their upload; see :class:`rwm.model.UploadOrder`. Any thread may ask."""
        return PackOrder(self.path, info)

    def entries(self, info: StateInfo) -> Iterator[Entry]:
        """The state's entries sorted by key (by byte). Raises as :meth:`batches`."""
        return chain.from_iterable(batch.entries() for batch in self.batches(info))

    def batches(self, info: StateInfo) -> Iterator[EntryBatch]:
        """The same in batches.

        Raises IndexDamaged in the end when they are not as many as the state had when it was captured, StateNotFound
        when another process has forgotten it meanwhile.
        """
        moment, count = self.moment(info), 0
        with errors(self.path):
            for batch in walk.batches(self._connection, self._root(info.bucket), moment):
                count += len(batch.keys)
                yield batch
        if self.moment(info) != moment:  # it was forgotten and came back: what was read may be of another one
            raise StateNotFound(f"state {info.id[:12]} was forgotten while it was read")
        if count != info.objects:
            raise IndexDamaged(
                f"index {self.path}: state {info.id[:12]} has {info.objects} objects, {count} are there",
                hint="move the index away, then `rwm state sync BUCKET` makes it anew from the bucket",
            )

    def differences(self, before: StateInfo, after: StateInfo) -> list[Difference]:
        """What two states of one bucket do not share, sorted by key. Memory grows with that."""
        with errors(self.path):
            bucket = bucket_id(self._connection, after.bucket)
            return walk.differences(self._connection, bucket, self.moment(before), self.moment(after))

    def _root(self, bucket: str) -> int:
        with errors(self.path):
            number = bucket_id(self._connection, bucket)
            row = self._connection.execute(
                "SELECT id FROM directory WHERE bucket = ? AND parent = 0 AND name = ?", (number, pack(""))
            ).fetchone()
        return int(row[0]) if row else 0

    def references(self, bucket: str, states: Sequence[StateInfo] | None = None) -> References:
        """Which states of the bucket need which versions, to be asked key by key.

        ``states`` are all of them as :meth:`states` gave them a moment ago: numbers are places in it.
        """
        moments = [self.moment(info) for info in (self.states(bucket) if states is None else states)]
        return References(self._connection, self.path, self._root(bucket), moments)
