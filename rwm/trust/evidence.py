"""What the rules need to know of a whole repository beside the key they judge: when restic held locks, and so on. Pure.

Locks are read first. Every time is the server's LastModified, the one clock that a machine cannot set.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal

from rwm.model import ObjectVersion
from rwm.times import DAY, SECOND
from rwm.trust.intervals import FOREVER, MAX_DISJOINT, Intervals

SLACK = 2 * SECOND
"""How far times of one server may be wrong: Ceph RGW orders concurrent writes within some hundred milliseconds."""

_UNKNOWN_START = DAY
"""A lock whose version is gone, and whose delete marker is left, may have been held for so long before."""

REFRESH = 5 * 60 * SECOND
"""How often restic replaces its lock (0.14 to 0.18). When another takes the lock away, the operation goes on without
one until it is due to replace it; also after a sleep, the removals come after the new lock."""

_JITTER = SECOND // 10  # between two gateways of one server
_MAX_COMPARED = 100  # locks close to each other

STALE = 30 * 60 * SECOND
"""Age at which restic calls a lock stale: it was not replaced six times (0.14 to 0.18)."""

LockState = Literal["held", "recent", "none", "unknown"]
"""``recent``: no lock, but one was written so shortly before that its operation may go on (`unlock --remove-all`)."""


class LockHistory:
    """When the repository was locked. A lock that was never removed is held for ever.

    ``captured`` are the times of captures of the repository (:class:`rwm.trust.captures.Captures`). A lock that was
    there at one of them *may be kept* for a state, by a program that has deleted newer locks: it covers what was done
    under it, but does not show that the locks of its time and of later times are left. All others do.
    """

    def __init__(self, captured: Sequence[Intervals] = ()) -> None:
        self._captured = captured
        self.held = Intervals()
        self._recent = Intervals()
        self.fresh = Intervals()
        """When a lock was held that was not stale: the times of operations, also beside a lock that was left behind."""
        self.is_empty = True
        """Whether the repository never had a lock, as far as its history reaches."""
        self.known_since = FOREVER
        """The oldest lock that is left, but for those that may be kept for a state: what was before it may have been
        pruned, or expired. FOREVER without one."""
        self.oldest_end = FOREVER
        """The oldest removal of such a lock."""
        self.snapshots = Times()
        """When snapshots were written."""
        self._starts = array("q")
        self._ends = array("q")
        self._is_sorted = True
        self._omitted_since = FOREVER

    def add(self, entries: Sequence[ObjectVersion]) -> None:
        """Add one key below ``locks/``: all its entries, oldest first."""
        start: int | None = None
        for entry in entries:
            if not entry.is_marker:
                start = entry.last_modified if start is None else start
                self.is_empty = False
            elif start is not None:
                self._add(start, entry.last_modified)
                start = None
            else:
                self.held.add(entry.last_modified - _UNKNOWN_START, entry.last_modified + SLACK)
                self.fresh.add(entry.last_modified - _UNKNOWN_START, entry.last_modified + SLACK)
        if start is not None:
            self._add(start, FOREVER - SLACK)

    def _add(self, start: int, end: int) -> None:
        self.held.add(start - SLACK, end + SLACK)
        self._recent.add(start, start + REFRESH + SLACK)
        self.fresh.add(start - SLACK, min(end, start + STALE) + SLACK)
        if not self._may_be_kept(start, end):
            self.known_since = min(self.known_since, start)
            self.oldest_end = min(self.oldest_end, end)
        if start >= self._omitted_since:
            return
        self._starts.append(start)
        self._ends.append(end)
        self._is_sorted = False
        if len(self._starts) > MAX_DISJOINT:
            self._omit_newest()

    def _omit_newest(self) -> None:
        """Leave out a quarter of the locks: of a flood, not those from before it."""
        self._sort()
        self._omitted_since = self._starts[MAX_DISJOINT * 3 // 4]
        count = bisect_left(self._starts, self._omitted_since)
        del self._starts[count:], self._ends[count:]

    def state(self, time: int) -> LockState:
        """Whether restic held a lock at the time."""
        if time in self.held:
            return "held"
        if not self.is_known(time):
            return "unknown"
        return "recent" if time in self._recent else "none"

    def is_known(self, time: int) -> bool:
        """Whether all locks of the time and of later times are left, with what a prune keeps beside them."""
        return time >= self.known_since - SLACK

    def doubtful(self) -> tuple[int, int] | None:
        """(how many, start of the oldest) if there are locks, and all of them may be kept for states."""
        if not self._starts or self.known_since < FOREVER:
            return None
        self._sort()
        return len(self._starts), self._starts[0]

    def _may_be_kept(self, start: int, end: int) -> bool:
        """Whether a lock may be left only because a state has it."""
        return any(times.overlaps(start, end) for times in self._captured)

    def is_after_backups(self, time: int) -> bool:
        """Whether all locks that were written so shortly before are those of backups which had written their snapshot.

        Such an operation removes nothing more, except a snapshot that it replaces (``tag``, ``rewrite``).
        """
        self._sort()
        first = bisect_left(self._starts, time - REFRESH - SLACK)
        last = bisect_right(self._starts, time)
        return (
            time < self._omitted_since
            and last - first <= _MAX_COMPARED
            and all(
                self.snapshots.any_in(start, end + _JITTER) and end < FOREVER - SLACK
                for start, end in zip(self._starts[first:last], self._ends[first:last], strict=True)
            )
        )

    def is_stale(self, time: int) -> bool:
        """Whether all locks held at the time were stale: restic would have replaced them, unless it slept."""
        return time in self.held and time not in self.fresh

    @property
    def closed_since(self) -> int:
        """Since when locks are not known one by one, because there were too many; FOREVER if they are."""
        closed = (each.closed_since for each in (self.held, self._recent, self.fresh))
        return min(self._omitted_since, *closed)

    def session(self, time: int) -> tuple[int, int] | None:
        """The time around ``time`` in which there was always a lock; None if there was none."""
        return self.held.at(time)

    def lone_lock(self, time: int) -> tuple[int, int] | None:
        """The only lock that was held at any time from its start to its end, if it was held at ``time``.

        (start, end); the end is a second early where another lock follows at once, because the two may share a second.
        None if it may be kept for a state: others of its time may be gone.
        """
        session = self.session(time)
        if session is None or session[1] >= self._omitted_since:
            return None
        self._sort()
        first, last = bisect_left(self._starts, session[0]), bisect_right(self._starts, session[1])
        if last - first > _MAX_COMPARED:
            return None
        locks = list(zip(self._starts[first:last], self._ends[first:last], strict=True))
        held = [lock for lock in locks if lock[0] <= time <= lock[1]]
        if len(held) != 1 or sum(start < held[0][1] and end > held[0][0] for start, end in locks) != 1:
            return None
        start, end = held[0]
        if self._may_be_kept(start, end):
            return None
        return start, end if len(locks) == 1 else end - SECOND

    def _sort(self) -> None:
        if not self._is_sorted:
            # As numbers: pairs would take four times the memory.
            joined = sorted(start << 64 | end for start, end in zip(self._starts, self._ends, strict=True))
            self._starts = array("q", (each >> 64 for each in joined))
            self._ends = array("q", (each & (1 << 64) - 1 for each in joined))
            self._is_sorted = True


class Times:
    """Times in milliseconds, in any order, for questions about ranges."""

    def __init__(self) -> None:
        self._times = array("q")
        self._is_sorted = True

    def add(self, time: int) -> None:
        """Add a time."""
        self._is_sorted = self._is_sorted and (not self._times or time >= self._times[-1])
        self._times.append(time)

    def remove_since(self, time: int) -> None:
        """Remove those from a time on."""
        times = self._sorted()
        del times[bisect_left(times, time) :]

    def _sorted(self) -> array[int]:
        if not self._is_sorted:
            self._times = array("q", sorted(self._times))
            self._is_sorted = True
        return self._times

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[int]:
        return iter(self._sorted())

    def any_in(self, start: int, end: int) -> bool:
        """Whether there is one from ``start`` to ``end``, both included."""
        return self.count_in(start, end) > 0

    def count_in(self, start: int, end: int) -> int:
        """How many there are from ``start`` to ``end``, both included."""
        times = self._sorted()
        return max(0, bisect_right(times, end) - bisect_left(times, start))

    def count_until(self, time: int) -> int:
        """How many there are until ``time``, included."""
        return bisect_right(self._sorted(), time)
