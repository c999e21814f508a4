"""The rules that judge a removal by what the rest of the repository had at that time. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from heapq import merge

from rwm.trust.evidence import REFRESH, SLACK, LockHistory, Times
from rwm.trust.finding import IN_NO_STATE, Finding, Rule, about_directory
from rwm.trust.intervals import FOREVER, MAX_DISJOINT
from rwm.trust.key_history import KeyHistory

MAX_CHANGES = 1_000_000
"""Times of one kind of file that are held: far more than a repository has in its life."""

_NAME_BYTES = 32
"""Of the name of an index, which is a SHA-256."""


class Inventory:
    """When files of a kind were written and removed, and how many there were."""

    def __init__(self) -> None:
        self.written = Times()
        self.removed = Times()
        self.omitted_since = FOREVER
        """The oldest change that was left out because there were more than :data:`MAX_CHANGES`.

        Those from then on are left out: of a flood, not those from before it. Nothing can be concluded from them.
        """

    def is_known(self, time: int) -> bool:
        """Whether no change until a time was left out."""
        return time < self.omitted_since

    def add(self, history: KeyHistory) -> None:
        """Add the changes of one key: from absent to present, and back."""
        is_present = False
        for entry in history.entries:
            if entry.is_marker == is_present:
                if entry.last_modified < self.omitted_since:
                    (self.removed if is_present else self.written).add(entry.last_modified)
                is_present = not is_present
        self._limit()

    def add_written(self, time: int) -> None:
        """Add a file that came to be there."""
        if time < self.omitted_since:
            self.written.add(time)
            self._limit()

    def _limit(self) -> None:
        if len(self.written) + len(self.removed) > MAX_CHANGES:
            self._omit_newest()

    def _omit_newest(self) -> None:
        """Leave out a quarter of the changes or more."""
        self.omitted_since = array("q", merge(self.written, self.removed))[MAX_CHANGES * 3 // 4]
        self.written.remove_since(self.omitted_since)
        self.removed.remove_since(self.omitted_since)

    def present_at(self, time: int) -> int:
        """How many files there were at a time."""
        return self.written.count_until(time) - self.removed.count_until(time)

    def changes(self, *, removals_first: bool = False) -> Iterator[tuple[int, int]]:
        """(time, 1) where a file was written and (time, -1) where one was removed, by time; in which order if both."""
        order = (lambda change: change) if removals_first else (lambda change: (change[0], -change[1]))
        return merge(((time, 1) for time in self.written), ((time, -1) for time in self.removed), key=order)

    def none_left_at(self) -> Iterator[tuple[int, int]]:
        """(start, end) of each time, longer than :data:`SLACK`, without any file after there had been one."""
        present, since = 0, FOREVER
        for time, change in self.changes():
            present += change
            if present <= 0:
                since = min(since, time)
            elif since != FOREVER:
                if time - since > SLACK:
                    yield since, time
                since = FOREVER
        if since != FOREVER:
            yield since, self.omitted_since


ALL_KEYS_REMOVED = Rule(
    "all-keys-removed",
    "proof",
    "the last key file was removed",
    "restic removes a key file only while another one exists: without one, no password opens the repository",
)


NO_KEY_LEFT = Rule(
    "no-key-left",
    "hint",
    "no key file was left in a repository without locks",
    "without locks the history does not tell whether others were pruned since",
)


def all_keys_removed(root: str, locks: LockHistory, keys: Inventory) -> Iterator[Finding]:
    """Times without any key file. Not from before the oldest lock that is left: then keys may have been pruned too."""
    for start, end in keys.none_left_at():
        if locks.is_empty or locks.is_known(start):
            rule = NO_KEY_LEFT if locks.is_empty else ALL_KEYS_REMOVED
            yield about_directory(rule, root, "keys", "no key file was left", start, end)


LAST_INDEX_REMOVED = Rule(
    "last-index-removed",
    "proof",
    "the last index was removed while there were snapshots",
    "restic writes the new index before it removes old ones: there is never a moment without an index",
)


NO_INDEX_LEFT = Rule(
    "no-index-left",
    "hint",
    "no index was left in a repository without locks",
    "without locks the history does not tell whether others were pruned since",
)


class Removals:
    """Removals of indexes, as columns: a third of the memory of an object for each name and id."""

    def __init__(self) -> None:
        self._text = bytearray()
        """Of each removal the name of the index and the version id of the marker."""
        self._text_ends = array("Q")
        self._times = array("q")
        self._ends = array("q")

    def add(self, history: KeyHistory) -> None:
        """Add the removals of one index, whose name has 64 hexadecimal digits, up to :data:`MAX_CHANGES`."""
        for number, marker in history.removals():
            if len(self._times) < MAX_CHANGES:
                self._text += bytes.fromhex(history.key.rpartition("/")[2])
                self._text += marker.version_id.encode(errors="surrogatepass")
                self._text_ends.append(len(self._text))
                self._times.append(marker.last_modified)
                self._ends.append(history.restored_at(number))

    def __iter__(self) -> Iterator[tuple[str, str, int, int]]:
        """(name, version id of the marker, when, until when) of each removal."""
        begin = 0
        for text_end, time, end in zip(self._text_ends, self._times, self._ends, strict=True):
            marker = begin + _NAME_BYTES
            version_id = self._text[marker:text_end].decode(errors="surrogatepass")
            yield self._text[begin:marker].hex(), version_id, time, end
            begin = text_end


def last_index_removed(
    root: str, removals: Removals, locks: LockHistory, indexes: Inventory, snapshots: Inventory
) -> Iterator[Finding]:
    """Removals of an index after which none was left, in a repository with snapshots.

    Not from before the oldest lock that is left: then indexes may have been pruned too.
    """
    rule = NO_INDEX_LEFT if locks.is_empty else LAST_INDEX_REMOVED
    for name, marker, at, end in removals:
        before, after = at - SLACK, at + SLACK
        if not (indexes.is_known(after) and snapshots.is_known(after)):
            continue
        if not (locks.is_empty or locks.is_known(at)):
            continue
        if indexes.present_at(after) <= 0 and min(map(snapshots.present_at, (before, after))) > 0:
            yield Finding(rule, root, f"{root}index/{name}", marker, at, "no index was left", at, end)


PACK_BEFORE_INDEX = Rule(
    "pack-before-index",
    "proof",
    "a pack was removed that an index still named",
    "restic removes packs last, after the indexes that named them; only packs of a killed backup go first",
)
PACK_BESIDE_BACKUP = Rule(
    "pack-beside-backup",
    "hint",
    "a pack was removed around a backup, and no index with it",
    "no prune runs beside a backup; one right after it may remove packs of killed backups without any index",
)


def pack_before_index(
    history: KeyHistory, locks: LockHistory, indexes: Inventory, snapshots: Inventory
) -> Iterator[Finding]:
    """The removal of a pack although no index was removed since it was written.

    A proof only for a pack that an index surely names: it was written under the only lock of its time, and a snapshot
    was written after it under that lock.
    """
    for number, marker in history.removals():
        at = marker.last_modified
        session = locks.session(at) or ((at, at) if locks.state(at) == "recent" else None)
        if session is None or indexes.removed.any_in(session[0], at + SLACK):
            continue
        written = history.entries[number - 1].last_modified
        named = indexes.is_known(at + SLACK) and _is_surely_named(written, session, locks, snapshots)
        if named and not indexes.removed.any_in(written, at + SLACK):
            yield history.removal_finding(PACK_BEFORE_INDEX, number, "removed before the index that named it")
        elif snapshots.written.any_in(*session):
            yield history.removal_finding(PACK_BESIDE_BACKUP, number, "removed around a backup")


def _is_surely_named(written: int, removal: tuple[int, int], locks: LockHistory, snapshots: Inventory) -> bool:
    """Whether an index named a pack of that time.

    Known only if the evidence of that time is left: a lock that ended before it, and one of a running restic, which
    replaces it every five minutes. A killed backup leaves its lock for longer than the locks of later backups are kept.
    """
    lone = locks.lone_lock(written)
    is_earlier = not removal[0] <= written <= removal[1] and written > locks.oldest_end + SLACK
    if lone is None or lone[1] - lone[0] > REFRESH + SLACK:
        return False
    return is_earlier and snapshots.written.any_in(written + SLACK, lone[1])


VERSIONING_SUSPENDED = Rule(
    "versioning-suspended",
    "proof",
    "something was written without versioning after the bucket had had versioning",
    "versioning cannot be taken off, only suspended: what is overwritten then is lost",
)


FLOODED = Rule(
    "flooded",
    "hint",
    "there are too many locks, indexes, snapshots or keys to judge each",
    f"more than {MAX_DISJOINT} locked times or {MAX_CHANGES} files: their number hides what was done between them",
)


def flooded(root: str, locks: LockHistory, inventories: Mapping[str, Inventory]) -> Iterator[Finding]:
    """What was left out, from the oldest time on; ``inventories`` by the names of their directories."""
    since = {"locks": locks.closed_since, **{name: each.omitted_since for name, each in inventories.items()}}
    for name, at in since.items():
        if at != FOREVER:
            yield about_directory(FLOODED, root, name, f"not all {name} could be judged", at)


MANY_LOCKS = 10
"""More than a program that deletes all others leaves for states: most states are captured when no lock is held."""

DOUBTFUL_LOCKS = Rule(
    "doubtful-locks",
    "hint",
    f"there are {MANY_LOCKS} locks or more, and a state was captured beside each",
    "another program may have left them for the states and deleted others, so removals without a lock are not judged; "
    "a machine that writes a state file beside each lock does it too",
)


def doubtful_locks(root: str, locks: LockHistory) -> Iterator[Finding]:
    """A repository in which no lock shows that the others are left. States have no consequence of it."""
    if (found := locks.doubtful()) and found[0] >= MANY_LOCKS:
        detail = f"{found[0]} locks, each of the time of a state: removals are not judged by locks"
        yield Finding(DOUBTFUL_LOCKS, root, f"{root}locks/", "", found[1], detail, *IN_NO_STATE)
