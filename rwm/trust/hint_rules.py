"""The rules that compare what happened with what usually happens in the repository: hints, never proofs. Pure."""

from __future__ import annotations

from array import array
from bisect import insort
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from rwm.phrases import format_count
from rwm.times import DAY, HOUR, iso_second
from rwm.trust.activity import Activity
from rwm.trust.evidence import LockHistory, Times
from rwm.trust.finding import IN_NO_STATE, Finding, Rule, about_directory
from rwm.trust.intervals import FOREVER
from rwm.trust.keep_policy import KeepPolicy
from rwm.trust.key_history import KeyHistory, describe_gap
from rwm.trust.repository_rules import Inventory

LARGE_FACTOR = 10
LARGE_FLOOR = 64 << 20
"""Bytes of a backup that is never called large."""

MIN_BACKUPS = 5
"""Backups from which on a repository has something usual."""

BURST = 10
"""Snapshots in an hour that are never called a burst."""

OVERDUE_FACTOR = 3
OVERDUE_FLOOR = 2 * DAY


LARGE_BACKUP = Rule(
    "large-backup",
    "hint",
    f"a backup added more than {LARGE_FACTOR} times as much as is usual in the repository",
    "encrypted files do not deduplicate: ransomware makes the next backup as large as the first; so does new data",
)


class _Usual:
    """The median of what was added so far: what comes later, of an attacker, must not change what was usual before."""

    def __init__(self) -> None:
        self._sorted = array("q")

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, number: int) -> None:
        insort(self._sorted, number)

    @property
    def median(self) -> int:
        """The lower one of two in the middle; 0 without any."""
        return self._sorted[(len(self._sorted) - 1) // 2] if self._sorted else 0


def large_backup(root: str, activity: Activity) -> Iterator[Finding]:
    """Sessions with an unusual number of bytes, as far as sessions before them, except the first one, tell."""
    usual = _Usual()
    for at, size in activity.sessions()[1:]:
        if len(usual) >= MIN_BACKUPS and size > LARGE_FLOOR and size > LARGE_FACTOR * usual.median:
            detail = f"{size} bytes were added, {round(size / max(usual.median, 1))} times as much as usual"
            yield about_directory(LARGE_BACKUP, root, "data", detail, at)
        usual.add(size)


SNAPSHOT_BURST = Rule(
    "snapshot-burst",
    "hint",
    "many more snapshots than usual were written within an hour",
    "false snapshots push true ones out of the retention; several machines, or a script, may write as many",
)


def snapshot_burst(root: str, snapshots: Times) -> Iterator[Finding]:
    """More than ten snapshots within an hour, and more than ten times the median of the hours before that have any.

    From the snapshot on that is too much, not from those before it. No hour begins with the clock: half of a burst
    before it strikes and half after it are one.
    """
    usual, limit, hour, in_hour = _Usual(), BURST, -HOUR, 0
    oldest, within, most, begun = iter(snapshots), 0, 0, FOREVER
    start = next(oldest, FOREVER)
    for time in snapshots:
        if time >= hour + HOUR:
            if in_hour:
                usual.add(in_hour)
                limit = max(BURST, LARGE_FACTOR * usual.median)
            hour, in_hour = time, 0
        in_hour += 1
        within += 1
        while start <= time - HOUR:
            start, within = next(oldest), within - 1
        if within > limit:
            begun, most = min(begun, time), max(most, within)
        elif begun != FOREVER:
            yield about_directory(SNAPSHOT_BURST, root, "snapshots", f"{most} snapshots within an hour", begun)
            begun, most = FOREVER, 0
    if begun != FOREVER:
        yield about_directory(SNAPSHOT_BURST, root, "snapshots", f"{most} snapshots within an hour", begun)


SHRUNK = Rule(
    "shrunk",
    "hint",
    "the repository shrank to less than half of what it had been for a day",
    "a forget of much, and a prune after it, may do that, and so may whoever runs them for the machine",
)


class _LastingSize:
    """The largest size that a repository had for a day: a prune makes it larger for a while, and so does a backup that
    replaces another one. The first size counts at once.
    """

    def __init__(self) -> None:
        self.largest = 0
        self._sizes: deque[tuple[int, int]] = deque()
        """(since when, at least so many bytes), both increasing."""

    def change(self, at: int, size: int) -> None:
        """The size from a time on."""
        self.largest = self.largest or size
        since = at
        while self._sizes and self._sizes[-1][1] >= size:
            since, _ = self._sizes.pop()
        self._sizes.append((since, size))

    def until(self, at: int) -> int:
        """The largest one until a time."""
        while self._sizes and self._sizes[0][0] <= at - DAY:
            self.largest = max(self.largest, self._sizes.popleft()[1])
        return self.largest


def shrunk(root: str, activity: Activity) -> Iterator[Finding]:
    """Times at which the packs are less than half of their largest size before."""
    sizes, begun, detail = _LastingSize(), FOREVER, ""
    for first_removal, last_change, total in activity.totals():
        peak = sizes.until(min(first_removal, last_change))
        if begun == FOREVER and total * 2 < peak and first_removal != FOREVER:
            begun, detail = first_removal, f"the packs shrank from {peak} to {total} bytes"
        elif begun != FOREVER and total * 2 >= peak:
            yield about_directory(SHRUNK, root, "data", detail, begun, last_change)
            begun = FOREVER
        sizes.change(last_change, total)
    if begun != FOREVER:
        yield about_directory(SHRUNK, root, "data", detail, begun)


def snapshots_shrunk(root: str, snapshots: Inventory) -> Iterator[Finding]:
    """Times at which fewer than half of the largest number of snapshots are left, of ten or more."""
    peak = present = 0
    begun, detail = FOREVER, ""
    for time, change in snapshots.changes(removals_first=True):
        present += change
        if begun == FOREVER and change < 0 and peak >= BURST and present * 2 < peak:
            begun, detail = time, f"fewer than half of {peak} snapshots were left"
        elif begun != FOREVER and present * 2 >= peak:
            yield about_directory(SHRUNK, root, "snapshots", detail, begun, time)
            begun = FOREVER
        peak = max(peak, present)
    if begun != FOREVER:
        yield about_directory(SHRUNK, root, "snapshots", detail, begun)


NO_SNAPSHOT_LEFT = Rule(
    "no-snapshot-left",
    "hint",
    "all snapshots were removed",
    "restic removes the last snapshot only when it is told to by its id",
)


def no_snapshot_left(root: str, snapshots: Inventory) -> Iterator[Finding]:
    """Times without any snapshot, after there had been one."""
    for start, end in snapshots.none_left_at():
        yield about_directory(NO_SNAPSHOT_LEFT, root, "snapshots", "no snapshot was left", start, end)


MAX_JUDGED = 100_000
"""Snapshots that the retention is applied to; more would take too long, and are a burst anyway."""

NO_RECENT_BACKUP = Rule(
    "no-recent-backup",
    "hint",
    "no snapshot was written for much longer than is usual",
    "a machine that is off, or a backup that fails in silence",
)


def no_recent_backup(root: str, snapshots: Times, now: int) -> Iterator[Finding]:
    """The time since the last snapshot. It is in no state."""
    times = list(snapshots)
    gaps = [after - before for before, after in pairwise(times) if after - before > HOUR]
    if len(gaps) < MIN_BACKUPS:
        return
    limit = max(OVERDUE_FLOOR, int(OVERDUE_FACTOR * median(gaps)))
    if now - times[-1] > limit:
        at = times[-1] + limit
        detail = f"the last snapshot was written at {iso_second(times[-1])}, {describe_gap(now - times[-1])} ago"
        yield Finding(NO_RECENT_BACKUP, root, f"{root}snapshots/", "", at, detail, *IN_NO_STATE)


BEYOND_RETENTION = Rule(
    "beyond-retention",
    "hint",
    "a snapshot was removed that the configured retention keeps",
    "by the time of its upload, which the machine cannot set; another retention, or `forget` by id, does it too",
)


class Lives:
    """From when to when each snapshot was there; FOREVER if it still is."""

    def __init__(self) -> None:
        self._starts = array("q")
        self._ends = array("q")

    def add(self, history: KeyHistory) -> None:
        """Add the changes of one snapshot."""
        if len(self) > MAX_JUDGED:
            return
        start = FOREVER
        for entry in history.entries:
            if entry.is_marker and start != FOREVER:
                self._add(start, entry.last_modified)
                start = FOREVER
            elif not entry.is_marker:
                start = min(start, entry.last_modified)
        if start != FOREVER:
            self._add(start, FOREVER)

    def add_written(self, time: int) -> None:
        """Add a snapshot that was written once, and is there."""
        if len(self._starts) <= MAX_JUDGED:
            self._add(time, FOREVER)

    def _add(self, start: int, end: int) -> None:
        self._starts.append(start)
        self._ends.append(end)

    def __len__(self) -> int:
        return len(self._starts)

    def sorted(self) -> list[tuple[int, int]]:
        """(start, end) of each, oldest first."""
        return sorted(zip(self._starts, self._ends, strict=True))


def beyond_retention(root: str, lives: Lives, locks: LockHistory, policy: KeepPolicy) -> Iterator[Finding]:
    """Sessions that removed snapshots which the policy keeps in every time zone.

    A session that writes as many as it removes replaces them (tag, rewrite). A stale lock makes no session: what is
    done while it stays is judged one by one.
    """
    if policy.is_empty or len(lives) > MAX_JUDGED:
        return
    pairs = lives.sorted()
    removals = sorted(end for _, end in pairs if end != FOREVER)
    done = 0
    for at in removals:
        if at <= done:
            continue
        start, done = locks.fresh.at(at) or (at, at + HOUR)
        times = [appeared for appeared, end in pairs if appeared < at and end >= at]
        kept = {times[position] for position in policy.surely_keeps(times)}
        removed = sum(at <= end <= done and appeared in kept for appeared, end in pairs)
        written = sum(start <= appeared <= done for appeared, _ in pairs)
        if removed > written:
            detail = f"{format_count(removed, 'snapshot')} removed that the retention keeps by the time of the upload"
            yield about_directory(BEYOND_RETENTION, root, "snapshots", detail, at)
