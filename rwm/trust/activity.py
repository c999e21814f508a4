"""What was written and removed in a repository, by hour and by lock session: in bounded memory. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from rwm.times import DAY
from rwm.trust.evidence import LockHistory
from rwm.trust.intervals import FOREVER
from rwm.trust.key_history import KeyHistory

HOUR = DAY // 24

_MAX_HOURS = 60 * 366 * 24
"""Hours that are counted one by one; what is older counts as of the oldest one."""


class Hour(NamedTuple):
    """What changed in one hour, which begins at ``start``: files but locks, and their bytes."""

    start: int
    added: int
    added_bytes: int
    removed: int
    removed_bytes: int


class Activity:
    """Files that were written and removed. ``now`` is the time of the audit; no time is later.

    All locks are known before the first file is added.
    """

    def __init__(self, locks: LockHistory, now: int) -> None:
        self._locks = locks
        self._now_hour = now // HOUR
        # By hours before now. Dense columns take a tenth of the memory of one object for each hour.
        self._added = array("q")
        self._added_bytes = array("q")
        self._removed = array("q")
        self._removed_bytes = array("q")
        self._pack_bytes = array("q")
        self._first_removal = array("q")
        self._last_change = array("q")
        self._session_bytes = array("q")
        self._session_start = array("q")
        self._slots: array[int] | None = None
        """After :meth:`compact`: hours before now, for each position in the columns."""

    def add_pack(self, history: KeyHistory) -> None:
        """Add the changes of one pack."""
        for time, size in _changes(history):
            if size < 0:
                self.remove_pack(time, ~size)
            else:
                self.add_written(time, size)

    def add_file(self, history: KeyHistory) -> None:
        """Add the changes of one file that is no pack."""
        for time, size in _changes(history):
            self._count(self._slot(time), size)

    def add_written(self, time: int, size: int) -> None:
        """Add a pack that was written."""
        slot = self._slot(time)
        self._added[slot] += 1
        self._added_bytes[slot] += size
        self._pack_bytes[slot] += size
        if time > self._last_change[slot]:
            self._last_change[slot] = time
        session = self._locks.fresh.find(time)
        if session >= 0:
            if not self._session_bytes:
                self._session_bytes.extend(bytes(len(self._locks.fresh)))
                self._session_start.extend(FOREVER for _ in self._session_bytes)
            self._session_bytes[session] += size
            if time < self._session_start[session]:
                self._session_start[session] = time

    def remove_pack(self, time: int, size: int) -> None:
        """Add the removal of a pack of this size."""
        slot = self._slot(time)
        self._count(slot, ~size)
        self._pack_bytes[slot] -= size
        self._last_change[slot] = max(self._last_change[slot], time)
        self._first_removal[slot] = min(self._first_removal[slot], time)

    def _count(self, slot: int, change: int) -> None:
        if change < 0:
            self._removed[slot] += 1
            self._removed_bytes[slot] += ~change
        else:
            self._added[slot] += 1
            self._added_bytes[slot] += change

    def _slot(self, time: int) -> int:
        """The position in the columns; they grow to the oldest hour that is needed."""
        slot = max(0, self._now_hour - time // HOUR)  # restic may work while the audit lists
        if slot < len(self._added):
            return slot
        slot = min(slot, _MAX_HOURS)
        if slot < len(self._added):
            return slot
        for column in (self._added, self._added_bytes, self._removed, self._removed_bytes, self._pack_bytes):
            column.extend(bytes(slot + 1 - len(column)))
        self._first_removal.extend(FOREVER for _ in range(slot + 1 - len(self._first_removal)))
        self._last_change.extend(bytes(slot + 1 - len(self._last_change)))
        return slot

    def sessions(self) -> list[tuple[int, int]]:
        """(time of the first pack, bytes of all) of each lock session that wrote packs, oldest first."""
        pairs = zip(self._session_start, self._session_bytes, strict=True)
        return [(start, size) for start, size in pairs if start != FOREVER]

    def written_since(self, time: int) -> int:
        """Bytes of packs that sessions wrote which began to write at a time or later; of any writer without locks."""
        if self._locks.is_empty:
            changes = enumerate(self._pack_bytes)
            return sum(max(0, change) for position, change in changes if self._start(position) >= time)
        return sum(size for start, size in self.sessions() if start >= time)

    def totals(self) -> Iterator[tuple[int, int, int]]:
        """(first removal, last change, bytes of all packs then) for each hour in which packs changed."""
        total = 0
        for position in reversed(range(len(self._added))):
            if self._last_change[position]:
                total += self._pack_bytes[position]
                yield self._first_removal[position], self._last_change[position], total

    def hours(self) -> Iterator[Hour]:
        """The hours in which files were written or removed, oldest first."""
        for position in reversed(range(len(self._added))):
            if self._added[position] or self._removed[position]:
                yield Hour(
                    self._start(position),
                    self._added[position],
                    self._added_bytes[position],
                    self._removed[position],
                    self._removed_bytes[position],
                )

    def _start(self, position: int) -> int:
        """When the hour at a position in the columns begins."""
        return (self._now_hour - (position if self._slots is None else self._slots[position])) * HOUR

    def compact(self) -> None:
        """Free the memory of hours without any change. Nothing can be added afterwards."""
        used = [slot for slot in range(len(self._added)) if self._added[slot] or self._removed[slot]]

        def compacted(column: array[int]) -> array[int]:
            return array("q", (column[slot] for slot in used))

        self._added, self._added_bytes = compacted(self._added), compacted(self._added_bytes)
        self._removed, self._removed_bytes = compacted(self._removed), compacted(self._removed_bytes)
        self._pack_bytes, self._last_change = compacted(self._pack_bytes), compacted(self._last_change)
        self._first_removal = compacted(self._first_removal)
        self._slots = array("q", used)


def _changes(history: KeyHistory) -> Iterator[tuple[int, int]]:
    """(time, size) of each time the key came to be there; the complement ``~size`` where it was removed."""
    is_present, size = False, 0
    for entry in history.entries:
        if entry.is_marker:
            if is_present:
                yield entry.last_modified, ~size
            is_present = False
        elif not is_present:
            size, is_present = entry.size, True
            yield entry.last_modified, size
