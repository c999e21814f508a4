"""Locks, indexes and key files that a prune leaves because later audits judge the rest by them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import dropwhile

from rwm.model import ObjectVersion
from rwm.prune.deferred import Deferred
from rwm.prune.key_plan import KeyPlan
from rwm.trust import SUCCEEDED, Captures, KeptEvidence, Kind, OwnChanges


class EvidenceKeeper:
    """Observes the decisions about all keys of repositories, then says of which keys nothing may be deleted.

    ``captures`` are those of the states whose files are in the bucket. ``own`` is what RWM itself did: a delete marker
    that it removed is judged by audits as if it were there. Memory grows by 8 bytes for each delete marker that stays.
    """

    def __init__(self, captures: Captures | None = None, own: OwnChanges | None = None) -> None:
        self._captures = captures or Captures()
        self._own = own or OwnChanges()
        self._evidence: dict[str, KeptEvidence] = {}

    def observe(self, root: str, kind: Kind, history: Sequence[ObjectVersion], decision: KeyPlan) -> bool:
        """Note the decision about a file of the repository at ``root``; ``history`` comes newest first.

        True if the decision is to be deferred: executed only if :meth:`decide` does not say that the key stays.
        """
        if kind is not Kind.LOCKS and kind not in SUCCEEDED and len(self._own.as_it_was(history)) == 1:
            return False  # almost every key
        if (evidence := self._evidence.get(root)) is None:
            evidence = self._evidence[root] = KeptEvidence(self._captures.of(root))
        deleted = {item.version_id for item in (*decision.versions, *decision.markers)}
        if kind is Kind.LOCKS:
            entries = history[::-1]
            # The markers that an interrupted prune has left say nothing of when a lock began.
            evidence.add_lock(list(dropwhile(lambda entry: entry.is_marker and entry.version_id in deleted, entries)))
            return bool(deleted)
        staying = [entry for entry in history if entry.version_id not in deleted]
        evidence.add_staying(kind, self._own.as_it_was(staying)[::-1] if staying else ())
        return bool(deleted) and kind in SUCCEEDED

    def decide(self, deferred: Iterable[Deferred]) -> Callable[[Deferred], bool]:
        """Whether the key of a deferred decision stays. ``deferred`` are all of them, and are read several times."""
        kept: set[str] = set()
        for root, evidence in self._evidence.items():
            for kind in SUCCEEDED:
                histories = (item.history for item in deferred if (item.root, item.kind) == (root, kind))
                doomed = (self._own.as_it_was(history)[::-1] for history in histories)
                kept |= evidence.keep_successors(kind, doomed)

        def stays(item: Deferred) -> bool:
            if item.kind is Kind.LOCKS:  # asked when all successors are known: the marker of one needs its locks
                return self._evidence[item.root].needs_lock(item.history[::-1])
            return item.history[0].key in kept

        return stays
