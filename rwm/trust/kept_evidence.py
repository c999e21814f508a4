"""Which locks, indexes and key files a prune must keep, because the audit judges by them what stays. Pure.

A delete marker that stays was put by restic if a lock covers it. Without that lock it would look like an attack. So all
locks of the session around such an *anchor* stay, and of the indexes one that was left when another was removed. The
oldest lock that shows that later ones are left stays too, because what is older is not judged: without it a proof would
cease to be one, and a machine that writes a state file beside each new lock would leave none that shows anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rwm.model import ObjectVersion
from rwm.trust.evidence import REFRESH, SLACK, LockHistory, Times
from rwm.trust.intervals import FOREVER, Intervals
from rwm.trust.key_history import KeyHistory
from rwm.trust.names import Kind
from rwm.trust.repository_rules import Inventory

SUCCEEDED = (Kind.INDEX, Kind.KEYS)
"""Kinds of which restic never removes the last file."""


class KeptEvidence:
    """Observes all locks of a repository and what is to stay, then says which locks, indexes and keys stay too.

    ``captured`` are the times of captures of the repository.
    """

    def __init__(self, captured: Sequence[Intervals] = ()) -> None:
        self._locks = LockHistory(captured)
        self._anchors = Times()
        self._kinds = {kind: _Staying() for kind in SUCCEEDED}

    def add_lock(self, entries: Sequence[ObjectVersion]) -> None:
        """Add the entries of a lock, oldest first."""
        self._locks.add(entries)

    def add_staying(self, kind: Kind, entries: Sequence[ObjectVersion]) -> None:
        """Add what stays of a key other than a lock, oldest first."""
        if kind is Kind.CONFIG:
            for entry in entries[1:]:
                self._anchors.add(entry.last_modified)
        elif entries:
            history = KeyHistory("", kind, entries)
            for _, marker in history.removals():
                self._anchors.add(marker.last_modified)
            if kind in self._kinds:
                self._kinds[kind].add(history)

    def keep_successors(self, kind: Kind, doomed: Iterable[Sequence[ObjectVersion]]) -> set[str]:
        """Which of the files of a kind that were to be deleted have to stay, by their keys; before :meth:`needs_lock`.

        One that was there when another was removed whose marker stays, unless one is there already. Its own marker
        then stays too. Of ``doomed`` those are held that were there at the first such removal or later; it is not read
        when there is none.
        """
        kept: set[str] = set()
        if (first := next(self._kinds[kind].missing(), None)) is None:
            return kept
        histories = (KeyHistory("", kind, entries) for entries in doomed)
        left = [history for history in histories if not history.entries[-1].is_marker or _ended(history) > first]
        while (successor := self._kinds[kind].find_missing(left)) is not None:
            self.add_staying(kind, successor.entries)
            kept.add(successor.key)
            left.remove(successor)
        return kept

    def needs_lock(self, entries: Sequence[ObjectVersion]) -> bool:
        """Whether a lock has to stay, with its marker. Ask after everything was added."""
        start = next((entry.last_modified for entry in entries if not entry.is_marker), FOREVER)
        if start == self._locks.known_since < FOREVER:
            return True
        session = self._locks.session(start) or (start, start)
        return self._anchors.any_in(session[0], max(session[1], start + REFRESH + SLACK))


class _Staying:
    """The files of a kind that stay: how many there were at each time, and when one was removed."""

    def __init__(self) -> None:
        self._removals = Times()
        self._inventory = Inventory()

    def add(self, history: KeyHistory) -> None:
        self._inventory.add(history)
        for _, marker in history.removals():
            self._removals.add(marker.last_modified)

    def missing(self) -> Iterator[int]:
        """The removals after which no file was there, by time."""
        return (removal for removal in self._removals if self._inventory.present_at(removal + SLACK) <= 0)

    def find_missing(self, doomed: Sequence[KeyHistory]) -> KeyHistory | None:
        """A file that is missing at some removal: the one that was there for longest afterwards."""
        for removal in self.missing():
            lives = [(_removed_after(history, removal + SLACK), history) for history in doomed]
            if present := [(end, history.key, history) for end, history in lives if end is not None]:
                return max(present, key=lambda life: life[:2])[2]
        return None


def _ended(history: KeyHistory) -> int:
    return history.entries[-1].last_modified


def _removed_after(history: KeyHistory, time: int) -> int | None:
    """When the key, which was there at a time, was removed; None if it was not there."""
    before = [entry for entry in history.entries if entry.last_modified <= time]
    if not before or before[-1].is_marker:
        return None
    later = history.entries[len(before) :]
    return next((entry.last_modified for entry in later if entry.is_marker), FOREVER)
