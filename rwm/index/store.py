"""The index as the other rooms use it: record a state, find one, read it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from rwm.errors import IndexDamaged, StateNotFound
from rwm.index import walk
from rwm.index.audits import Audits
from rwm.index.batches import EntryList, EntrySource
from rwm.index.born_later import BornLater, read_born_later
from rwm.index.capture_spool import CaptureSpool
from rwm.index.change_table import ChangeTable
from rwm.index.connection import MOVE_AWAY, REBUILD, connect, errors, transaction
from rwm.index.directories import bucket_id, location_directory
from rwm.index.file_counts import FileCounts
from rwm.index.find import Finder
from rwm.index.forget import forget
from rwm.index.freezes import Freezes
from rwm.index.identity import check_ids
from rwm.index.import_spool import ImportSpool
from rwm.index.last_clean import find_last_clean
from rwm.index.ledger import Ledger
from rwm.index.listed_versions import ListedVersions
from rwm.index.operations import Operations
from rwm.index.pending import Before, Comparison, PendingState
from rwm.index.prunes import Prunes
from rwm.index.rebase import rebase
from rwm.index.record import is_recorded
from rwm.index.references import References
from rwm.index.retentions import Retentions
from rwm.index.storage_classes import RecordedClasses
from rwm.index.timeline import OVERLAPS
from rwm.index.tree import IndexTree
from rwm.index.upload_order import PackOrder
from rwm.index.verification import Verifications
from rwm.location import Location
from rwm.model import (
    LAST_CLEAN,
    LATEST,
    SHORT_ID,
    Change,
    Difference,
    Entry,
    EntryBatch,
    RecordedState,
    StateInfo,
    StoredFile,
    Trust,
)

MAX_MOVED = 50_000
"""Differences between two states that are held in memory."""


class Index:
    """States of any number of buckets in one SQLite file. One thread at a time; many processes."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._finder = Finder(connection, path)
        self.ledger = Ledger(connection, path)
        self.file_counts = FileCounts(connection, path)
        self.storage_classes = RecordedClasses(connection, path)
        self.verifications = Verifications(connection, path)
        self.audits = Audits(connection, path)
        self.freezes = Freezes(connection, path)
        self.prunes = Prunes(connection, path)
        self.retentions = Retentions(connection, path)
        self.operations = Operations(connection, path)
        self.path = path

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Self:
        """Open the file; create it if it does not exist.

        Raises IndexDamaged, and IndexUnusable without permission or if a newer version wrote it.

        ``readonly`` creates nothing, and neither the file nor its directory need be writable. An index that does not
        exist is empty then. One that this process cannot write may be read as it is now, without later changes.
        """
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
        """Read the whole file. Raises IndexDamaged with the first fault."""
        with errors(self.path):
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise IndexDamaged(f"index {self.path}: {' '.join(found.split())}", hint=REBUILD)

    def check_ids(self, states: Sequence[StateInfo]) -> None:
        """Compute the ids of states from their entries, in one pass over the index for each of their locations.

        Raises IndexDamaged if the entries of one give another id, StateNotFound if one is not recorded (any more).
        """
        check_ids(self._connection, self._finder, self.path, states)

    # --- recording

    def capture_spool(self) -> CaptureSpool:
        """A new spool for the entries of a capture. One at a time."""
        return CaptureSpool(self._connection)

    def import_spool(self) -> ImportSpool:
        """A new spool for a state that is imported. One at a time."""
        return ImportSpool(self._connection)

    def prepare(self, info: StateInfo, entries: Iterable[Entry] | EntrySource) -> PendingState:
        """Compare a state with what was current before it; the result records it. ``entries`` are sorted by key."""
        source = entries if isinstance(entries, EntrySource) else EntryList(entries)

        def compare(before: Before, moment: int, changes: ChangeTable) -> None:
            if before.is_base and before.base:
                compare_base(before.base, changes)
            elif before.states:
                changes.add(source.differences(self._batches(info.location, moment - 1)))
            else:
                changes.add_new(source.batches())

        def compare_base(base: str, changes: ChangeTable) -> None:
            if (known := self.by_id(base)) is None:
                raise StateNotFound(f"state {base[:SHORT_ID]} is not in the index any more")
            changes.add(source.differences(self.batches(known)))

        return PendingState(self._connection, self.path, info, Comparison(compare, compare_base))

    def record(
        self,
        info: StateInfo,
        entries: Iterable[Entry] | EntrySource,
        *,
        trust: Trust = "own",
        stored: StoredFile | None = None,
    ) -> bool:
        """Record a state in one transaction; False if it is recorded already. ``entries`` are sorted by key."""
        return not self.has(info) and self.prepare(info, entries).record(trust, stored)

    def record_changes(
        self,
        info: StateInfo,
        base: StateInfo,
        changes: Iterable[Change],
        *,
        trust: Trust = "own",
        stored: StoredFile | None = None,
    ) -> bool:
        """Record a state by its changes from ``base``, a state of its location. ``changes`` are sorted by key.

        The cost grows with the changes only, if ``base`` is the state before it. With others between them, also of
        overlapping locations, what these changed is found in one pass over the index.

        False, and nothing is recorded, if the state is recorded already, if ``base`` is not, or if too much changed
        between them to be held in memory.
        """
        is_compared = False

        def compare(before: Before, moment: int, table: ChangeTable) -> None:
            nonlocal is_compared
            if before.is_base and before.base == base.id:
                table.add(changes)
            elif (known := self.by_id(base.id)) is None or known.location != info.location:
                return
            else:
                moments, root = (self.moment(known), moment - 1), location_directory(self._connection, info.location)
                moved = walk.differences_up_to(MAX_MOVED, self._connection, root, *moments)
                if moved is None:
                    return
                table.add(rebase(changes, moved))
            is_compared = True

        pending = PendingState(self._connection, self.path, info, Comparison(compare))
        return is_compared and pending.try_to_record(trust, stored)

    def forget(self, states: Iterable[StateInfo]) -> None:
        """Remove states, each in one transaction, and make sync ignore them.

        States that are not recorded are skipped.
        """
        with errors(self.path):
            for info in states:
                with transaction(self._connection):
                    if self.has(info):
                        forget(self._connection, info.id)
                        self.ledger.ignore_state(info, "forgotten")

    # --- finding

    def has(self, info: StateInfo) -> bool:
        """Whether the state is recorded."""
        with errors(self.path):
            return is_recorded(self._connection, info)

    def by_id(self, state_id: str) -> StateInfo | None:
        """The state with that full id, None if it is not recorded."""
        found = self._finder.where("s.id = ?", (state_id,))
        return found[0].info if found else None

    def trust(self, info: StateInfo) -> Trust:
        """The state's trust. Raises StateNotFound."""
        found = self._finder.where("s.id = ?", (info.id,))
        if not found:
            raise StateNotFound(f"state {info.short} is not in the index")
        return found[0].trust

    def recorded(self, location: Location | None = None) -> list[RecordedState]:
        """All states, or those that overlap a location, with their trust, oldest first.

        The verdict on each is on what it has below the location.
        """
        if location is None:
            states = self._finder.where("1 ORDER BY s.moment, b.name")
        else:
            values = (location.bucket, location.prefix)
            states = self._finder.where(f"b.name = ?1 AND {OVERLAPS} ORDER BY s.moment", values)
        return self.audits.add_verdicts(states, location)

    def states(self, location: Location | None = None) -> list[StateInfo]:
        """All states, or those that overlap a location, oldest first."""
        return [state.info for state in self.recorded(location)]

    def locations(self, bucket: str) -> list[Location]:
        """The locations of the bucket's recorded states, sorted."""
        return self._finder.locations(bucket)

    def resolve(self, text: str, location: Location | None = None) -> StateInfo:
        """Find one state by a full id, a unique prefix, ``latest``, ``last-clean``, or a UTC time (the last by then).

        An id is of a state that overlaps the location. The others need a location, and find states that cover it: none
        that a comparison with the bucket's history did not verify; ``latest`` and times an unchecked one only if there
        is no better, ``last-clean`` never. Raises StateNotFound (none, or several) and UsageError.
        """
        if text == LAST_CLEAN and location is not None:
            return self.last_clean(location).info
        return self._finder.resolve(text, location)

    def last_clean(self, location: Location) -> RecordedState:
        """The newest state that is clean below the location, by the recorded audits. Raises StateNotFound."""
        states = self.recorded(location)
        if not any(state.info.location.covers(location) for state in states):
            self._finder.resolve(LATEST, location)  # raises StateNotFound with a hint
        return find_last_clean(states, location)

    def moment(self, info: StateInfo) -> int:
        """The state's moment (see ``rwm.index.schema``). Raises StateNotFound if it is not recorded."""
        return self._finder.moment(info)

    def moments(self, location: Location) -> dict[str, int]:
        """The moments of the states that overlap a location, by id."""
        return self._finder.moments(location)

    def data_version(self) -> int:
        """A number that differs after another connection has changed the index. Costs microseconds."""
        with errors(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    # --- reading

    def tree(self, info: StateInfo, prefix: str | None = None) -> IndexTree:
        """The state as directories, for a mount: the part below ``prefix`` (default: all of it).

        Raises ValueError for a prefix that the state does not cover.
        """
        location = info.part(prefix)
        with errors(self.path):
            root = location_directory(self._connection, location)
        return IndexTree(self._connection, self.path, info, root, location.prefix, self.moment(info))

    def upload_order(self, info: StateInfo, root: str | None = None) -> PackOrder:
        """The packs of the state's repository at the prefix ``root`` (default: at the state's), as they were uploaded.

        See :class:`rwm.model.UploadOrder`. Thread-safe. Raises ValueError for a prefix that the state does not cover.
        """
        return PackOrder(self.path, info, info.part(root).prefix)

    def entries(self, info: StateInfo, prefix: str | None = None) -> Iterator[Entry]:
        """The state's entries sorted by key (by byte). Arguments and errors as in :meth:`batches`."""
        return chain.from_iterable(batch.entries() for batch in self.batches(info, prefix))

    def batches(self, info: StateInfo, prefix: str | None = None) -> Iterator[EntryBatch]:
        """The state's entries in batches, sorted by key; those below ``prefix``, which the state covers (default: all).

        Raises StateNotFound at the end if another process forgot the state meanwhile, IndexDamaged if the number of all
        entries is not the recorded one, ValueError for a prefix that the state does not cover.
        """
        part, moment, count = info.part(prefix), self.moment(info), 0
        with errors(self.path):
            for batch in self._batches(part, moment):
                count += len(batch.keys)
                yield batch
        if self.moment(info) != moment:  # recorded again meanwhile: the rows read may be another state's
            raise StateNotFound(f"state {info.short} was forgotten while it was read")
        if part == info.location and count != info.objects:
            raise IndexDamaged(
                f"index {self.path}: state {info.short} was recorded with {info.objects} objects, but has {count}",
                hint=MOVE_AWAY,
            )

    def _batches(self, location: Location, moment: int) -> Iterator[EntryBatch]:
        """The entries below the location at a moment of its bucket, sorted by key."""
        return walk.batches(self._connection, location_directory(self._connection, location), location.prefix, moment)

    def differences(self, before: StateInfo, after: StateInfo) -> list[Difference]:
        """The differences of two states of one bucket where both cover it, sorted by key.

        Memory grows with their number.
        """
        narrow, wide = sorted((after.location, before.location), key=lambda one: len(one.prefix), reverse=True)
        moments = self.moment(before), self.moment(after)
        if not wide.covers(narrow):
            return []
        with errors(self.path):
            return walk.differences(self._connection, location_directory(self._connection, narrow), *moments)

    def born_later(self, location: Location) -> Iterator[BornLater]:
        """What states have below the location that was written after their second, while they were captured."""
        with errors(self.path):
            root = location_directory(self._connection, location)
            yield from read_born_later(self._connection, bucket_id(self._connection, location.bucket), root)

    def listed_versions(self, info: StateInfo, prefix: str | None = None) -> ListedVersions:
        """A table in which a listing of the state's location, or of ``prefix`` below it, is compared with the state.

        One at a time.
        """
        with errors(self.path):
            bucket = bucket_id(self._connection, info.bucket)
        return ListedVersions(self._connection, bucket, self.moment(info), lambda: self.batches(info, prefix))

    def references(self, location: Location, states: Sequence[StateInfo] | None = None) -> References:
        """Which states of exactly this location reference which versions, key by key.

        States are numbered by their positions in ``states``: all of exactly this location, oldest first.
        """
        if states is None:
            states = [info for info in self.states(location) if info.location == location]
        moments = [self.moment(info) for info in states]
        with errors(self.path):
            bucket = bucket_id(self._connection, location.bucket)
        return References(self._connection, self.path, bucket, location.prefix, moments)
