"""Locks, indexes and key files that a prune leaves because later audits judge the rest by them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rwm.model import ObjectVersion
from rwm.retention.key_plan import KeyPlan
from rwm.trust import SUCCEEDED, KeptEvidence, Kind


class EvidenceKeeper:
    """Observes the decisions about all keys of repositories, then says of which keys nothing may be deleted.

    Memory grows with the locks, indexes and key files of which something is to be deleted, and by 8 bytes for each
    delete marker that stays.
    """

    def __init__(self) -> None:
        self._evidence: dict[str, KeptEvidence] = {}
        self._locks: dict[str, list[Sequence[ObjectVersion]]] = {}
        self._doomed: dict[tuple[str, Kind], list[Sequence[ObjectVersion]]] = {}

    def observe(self, root: str, kind: Kind, history: Sequence[ObjectVersion], decision: KeyPlan) -> bool:
        """Note the decision about a file of the repository at ``root``; ``history`` comes newest first.

        True if the decision is to be executed only when :meth:`find_kept` does not name the key.
        """
        if len(history) == 1 and kind is not Kind.LOCKS and kind not in SUCCEEDED:  # almost every key
            return False
        evidence = self._evidence.setdefault(root, KeptEvidence())
        deleted = {item.version_id for item in (*decision.versions, *decision.markers)}
        entries = history[::-1]
        if kind is Kind.LOCKS:
            evidence.add_lock(entries)
            if deleted:
                self._locks.setdefault(root, []).append(entries)
            return bool(deleted)
        evidence.add_staying(kind, [entry for entry in entries if entry.version_id not in deleted])
        if deleted and kind in SUCCEEDED:
            self._doomed.setdefault((root, kind), []).append(entries)
            return True
        return False

    def find_kept(self) -> set[str]:
        """The keys of which nothing may be deleted."""
        kept: set[str] = set()
        for (root, kind), histories in self._doomed.items():
            kept |= self._evidence[root].keep_successors(kind, histories)
        for root, locks in self._locks.items():  # last: a successor's marker needs its locks
            kept |= {entries[0].key for entries in locks if self._evidence[root].needs_lock(entries)}
        return kept
