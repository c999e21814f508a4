"""What the records of RWM say of the lock of a version: the index, and records of locked states in the bucket."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion, OperationChange
from rwm.statefile import FileName, parse_file_key
from rwm.trust import OwnLock


class _LockedStates(NamedTuple):
    """The locked states of a prefix: their moments, in order, and the lock of each."""

    moments: list[int]
    locks: list[OwnLock]

    def add(self, moment: int, lock: OwnLock) -> None:
        """Add a state: mostly the last one, but records name those of one second in any order."""
        position = bisect_left(self.moments, moment)
        self.moments.insert(position, moment)
        self.locks.insert(position, lock)


class UnknownState(NamedTuple):
    """A state that is locked by a record, and that the index does not have.

    ``until`` is when its lock ends, at the latest if not all of its versions were locked. Times in milliseconds.
    """

    captured_at: int
    id: str
    location: Location
    until: int


class LockRecords:
    """Looks up versions. ``locked`` are trusted records of states (:func:`rwm.operations.trusted_locks`).

    Only states that the index knows explain locks: which versions the others have is not known. ``unknown`` are those,
    oldest first, but for what this computer has forgotten or pruned.
    """

    def __init__(self, index: Index, bucket: str, locked: Iterable[OperationChange]) -> None:
        self._retentions = index.retentions.lookup(bucket)
        bounds: dict[FileName, OwnLock] = defaultdict(OwnLock)
        for change in locked:
            if name := parse_file_key(change.key):
                state = name._replace(is_delta=False)
                known = bounds[state]
                bounds[state] = OwnLock(max(known.at_least, change.at), max(known.at_most, change.until))
        self._states: dict[str, _LockedStates] = defaultdict(lambda: _LockedStates([], []))
        self.unknown: list[UnknownState] = []
        forgotten = index.ledger.ignored(bucket).keys() if bounds else ()
        for name, lock in sorted(bounds.items(), key=lambda item: item[0].captured_at):
            info = index.by_id(name.id)
            if info is None and name.id not in forgotten:
                until = lock.at_least or lock.at_most
                self.unknown.append(UnknownState(name.captured_at, name.id, Location(bucket, name.prefix), until))
            elif info is not None and info.bucket == bucket:
                self._states[info.prefix].add(index.moment(info), lock)

    def of(self, version: ObjectVersion) -> OwnLock:
        """What is recorded of a version."""
        found = self._retentions.of(version.key, version.version_id)
        until = 0 if found is None else found.until
        locks = self._of_states(version.key, version.version_id)
        at_least, at_most = ([until, *bounds] for bounds in zip(*locks, strict=True)) if locks else ([until], [until])
        return OwnLock(max(at_least), max(at_most))

    def known_until(self, key: str, version_id: str) -> int:
        """Until when a version is known to be locked: as RWM set it here, or elsewhere for a state, or found it."""
        found = self._retentions.known_until(key, version_id)
        return max([found, *(lock.at_least for lock in self._of_states(key, version_id))])

    def _of_states(self, key: str, version_id: str) -> list[OwnLock]:
        """The locks of the states that have a version."""
        spans = self._retentions.spans(key, version_id) if self._states else []
        return [
            lock
            for prefix, states in self._states.items()
            if spans and key.startswith(prefix)
            for since, end in spans
            for lock in states.locks[bisect_left(states.moments, since) : bisect_left(states.moments, end)]
        ]
