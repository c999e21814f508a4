"""What was written and removed in a repository, by hour and by lock session: in bounded memory. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from rwm.times import HOUR
from rwm.trust.evidence import LockHistory
from rwm.trust.intervals import FOREVER
from rwm.trust.key_history import KeyHistory

_MAX_HOURS = 60 * 366 * 24
"""Hours that are counted one by one; what is older counts as of the oldest one."""

_BLOCK = 8
"""Hours for which the columns get room at a time."""

_NO_CHANGES = array("q", [0]) * _BLOCK
_NO_REMOVAL = array("q", [FOREVER]) * _BLOCK


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
        self._blocks: dict[int, int] = {}
        """Blocks of hours since 1970 in which anything changed, with the positions of their first hours in the columns.

        One object for each hour would take more than the columns.
        """
        # Columns take a tenth of the memory of one object for each hour.
        self._added = array("q")
        self._added_bytes = array("q")
        self._removed = array("q")
        self._removed_bytes = array("q")
        self._pack_bytes = array("q")
        self._first_removal = array("q")
        self._last_change = array("q")
        self._session_bytes = array("q")
        self._session_start = array("q")

    def add_pack(self, history: KeyHistory) -> None:
        """Add the changes of one pack."""
        for time, size, is_removal in _changes(history):
            (self.remove_pack if is_removal else self.write_pack)(time, size)

    def add_file(self, history: KeyHistory) -> None:
        """Add the changes of one file that is no pack."""
        for time, size, is_removal in _changes(history):
            (self.remove_file if is_removal else self.write_file)(time, size)

    def write_file(self, time: int, size: int) -> None:
        """Add a file that is no pack, and that was written."""
        row = self._row(time)
        self._added[row] += 1
        self._added_bytes[row] += size

    def remove_file(self, time: int, size: int) -> None:
        """Add the removal of a file of this size that is no pack."""
        row = self._row(time)
        self._removed[row] += 1
        self._removed_bytes[row] += size

    def write_pack(self, time: int, size: int) -> None:
        """Add a pack that was written."""
        row = self._row(time)
        self._added[row] += 1
        self._added_bytes[row] += size
        self._pack_bytes[row] += size
        if time > self._last_change[row]:
            self._last_change[row] = time
        session = self._locks.fresh.find(time)
        if session >= 0:
            if not self._session_bytes:
                sessions = len(self._locks.fresh)
                self._session_bytes = array("q", [0]) * sessions
                self._session_start = array("q", [FOREVER]) * sessions
            self._session_bytes[session] += size
            if time < self._session_start[session]:
                self._session_start[session] = time

    def remove_pack(self, time: int, size: int) -> None:
        """Add the removal of a pack of this size."""
        row = self._row(time)
        self._removed[row] += 1
        self._removed_bytes[row] += size
        self._pack_bytes[row] -= size
        self._last_change[row] = max(self._last_change[row], time)
        self._first_removal[row] = min(self._first_removal[row], time)

    def _row(self, time: int) -> int:
        """The position of an hour in the columns. What is written while the audit lists counts as of its beginning."""
        hour = max(min(time // HOUR, self._now_hour), self._now_hour - _MAX_HOURS)
        block, place = divmod(hour, _BLOCK)
        row = self._blocks.get(block)
        if row is None:
            row = self._blocks[block] = len(self._added)
            for column in (self._added, self._added_bytes, self._removed, self._removed_bytes, self._pack_bytes):
                column.extend(_NO_CHANGES)
            self._first_removal.extend(_NO_REMOVAL)
            self._last_change.extend(_NO_CHANGES)
        return row + place

    def _rows(self) -> Iterator[tuple[int, int]]:
        """(hour since 1970, its position in the columns), oldest first; also hours without a change."""
        for block in sorted(self._blocks):
            first = self._blocks[block]
            yield from ((block * _BLOCK + place, first + place) for place in range(_BLOCK))

    def sessions(self) -> list[tuple[int, int]]:
        """(time of the first pack, bytes of all) of each lock session that wrote packs, oldest first."""
        pairs = zip(self._session_start, self._session_bytes, strict=True)
        return [(start, size) for start, size in pairs if start != FOREVER]

    def written_since(self, time: int) -> int:
        """Bytes of packs that sessions wrote which began to write at a time or later; of any writer without locks."""
        if self._locks.is_empty:
            return sum(max(0, self._pack_bytes[row]) for hour, row in self._rows() if hour * HOUR >= time)
        return sum(size for start, size in self.sessions() if start >= time)

    def totals(self) -> Iterator[tuple[int, int, int]]:
        """(first removal, last change, bytes of all packs then) for each hour in which packs changed."""
        total = 0
        for _, row in self._rows():
            if self._last_change[row]:
                total += self._pack_bytes[row]
                yield self._first_removal[row], self._last_change[row], total

    def hours(self) -> Iterator[Hour]:
        """The hours in which files were written or removed, oldest first."""
        columns = (self._added, self._added_bytes, self._removed, self._removed_bytes)
        for hour, row in self._rows():
            if self._added[row] or self._removed[row]:
                yield Hour(hour * HOUR, *(column[row] for column in columns))


def _changes(history: KeyHistory) -> Iterator[tuple[int, int, bool]]:
    """(time, size, whether it was removed) of each time the key came to be there, or was removed."""
    is_present, size = False, 0
    for entry in history.entries:
        if entry.is_marker:
            if is_present:
                yield entry.last_modified, size, True
            is_present = False
        elif not is_present:
            size, is_present = entry.size, True
            yield entry.last_modified, size, False
