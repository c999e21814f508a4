"""What the records of RWM say of the lock of a version: the index, and records of locked states in the bucket."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from rwm.index import Index
from rwm.model import ObjectVersion, OperationChange
from rwm.statefile import parse_file_key
from rwm.trust import OwnLock


class _LockedState(NamedTuple):
    prefix: str
    moment: int
    lock: OwnLock


class LockRecords:
    """Looks up versions. ``locked`` are trusted records of states (:func:`rwm.operations.trusted_locks`).

    Only states that the index knows explain locks: which versions the others have is not known.
    """

    def __init__(self, index: Index, bucket: str, locked: Iterable[OperationChange]) -> None:
        self._retentions = index.retentions.lookup(bucket)
        bounds: dict[str, OwnLock] = defaultdict(OwnLock)
        for change in locked:
            if name := parse_file_key(change.key):
                known = bounds[name.id]
                bounds[name.id] = OwnLock(max(known.at_least, change.at), max(known.at_most, change.until))
        infos = [info for state in bounds if (info := index.by_id(state)) is not None and info.bucket == bucket]
        self._states = [_LockedState(info.prefix, index.moment(info), bounds[info.id]) for info in infos]

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
            state.lock
            for state in self._states
            if key.startswith(state.prefix) and any(since <= state.moment < end for since, end in spans)
        ]
