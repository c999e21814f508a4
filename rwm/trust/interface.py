"""The contract of a rule: it recognises one sign of an attack in the version history of a location. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from rwm.model import ObjectVersion, StateInfo


class KeyEvidence(NamedTuple):
    """One key of the location.

    ``history`` holds all its versions and delete markers, newest first, at least one. ``kept`` are the version ids
    that kept states reference. ``in_newest`` says whether the newest kept state has the key. ``states`` are the
    positions, among all states of the location, of those that have the key; each state is in one range at most.
    """

    history: Sequence[ObjectVersion]
    kept: set[str]
    in_newest: bool
    states: Sequence[range] = ()


class Rule(Protocol):
    """One sign of an attack.

    The caller calls ``observe`` once for each key, in any order and from one thread, then ``findings`` once. Keys of
    which nothing is left in the bucket are not observed, nor are RWM's own objects.

    A rule does no I/O, and its memory grows with the number of repositories at most, not with that of keys. It reports
    nothing that restic does itself: backup, forget, prune, an interrupted run or the removal of a lock.
    """

    def observe(self, key: KeyEvidence) -> None:
        """Look at one key. A rule about states alone ignores it."""

    def findings(self, ended: Sequence[StateInfo]) -> Iterable[str]:
        """Return one line for each sign found.

        ``ended`` are the states that are complete now and that the planned deletions would make incomplete.
        """
