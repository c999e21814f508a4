"""What a prune means for the states of one location, collected key by key. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rwm.location import Location
from rwm.model import Entry, ObjectVersion, StateInfo, Trust
from rwm.retention.completeness import Completeness
from rwm.retention.key_plan import KeyPlan
from rwm.times import iso
from rwm.trust import AttackDetector, KeyEvidence

Needs = Sequence[tuple[Entry, range]]
"""The versions of a key that states of one location have, each with the positions of these states."""

_UNTRUSTED: Mapping[Trust, str] = {
    "contradicted": "is contradicted by the bucket's history",
    "unchecked": "was not compared with the bucket's history: `rwm state sync` does it",
}


@dataclass(frozen=True)
class LocationPlan:
    """What a prune means for one location.

    ``refused``, ``findings`` and ``lost_states`` are as in :class:`rwm.retention.plan.PrunePlan`. A key counts for the
    innermost location that covers it, so the counts of all locations add up.
    """

    location: Location
    kept_states: tuple[StateInfo, ...]
    lost_states: tuple[StateInfo, ...] = ()
    refused: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    versions: int = 0
    markers: int = 0
    bytes: int = 0
    kept_versions: int = 0
    too_young: int = 0


class LocationCollector:
    """Collects what a prune does to the states of one location. ``states`` and ``kept`` come oldest first.

    ``by_rule`` says whether the keep rule applies to the location. Otherwise all of its states are kept; then the plan
    cannot harm them, and nothing is refused or found because of them.
    """

    def __init__(
        self, location: Location, states: Sequence[StateInfo], kept: Sequence[StateInfo], *, by_rule: bool = True
    ) -> None:
        self.location = location
        self.kept = tuple(kept)
        self.by_rule = by_rule
        self._completeness = Completeness(states, kept)
        self._newest = Completeness(states, kept[-1:])
        self._detector = AttackDetector(kept[-1], states) if kept and by_rule else None
        self._versions = self._markers = self._bytes = self._kept_versions = self._too_young = 0

    def kept_ids(self, needs: Needs) -> set[str]:
        """The version ids of a key that kept states of the location need."""
        return {entry.version_id for entry, positions in needs if self._completeness.is_kept(positions)}

    def observe(self, history: Sequence[ObjectVersion], needs: Needs, decision: KeyPlan) -> None:
        """Count what the decision about a key below the location does to its states; look for signs of an attack."""
        if not self.by_rule:
            return
        present = {version.version_id for version in history if not version.is_marker}
        deleted = {item.version_id for item in decision.versions}
        for entry, positions in needs:
            if entry.version_id in present:
                self._completeness.add_present(positions)
            if entry.version_id in deleted:
                self._completeness.add_deleted(positions)
        if self._detector:
            ranges = [positions for _, positions in needs]
            in_newest = any(map(self._newest.is_kept, ranges))
            self._detector.observe(KeyEvidence(history, self.kept_ids(needs), in_newest, ranges))

    def count(self, decision: KeyPlan) -> None:
        """Add the decision about a key of which this is the innermost location."""
        self._versions += len(decision.versions)
        self._markers += len(decision.markers)
        self._bytes += sum(version.size for version in decision.versions)
        self._kept_versions += decision.kept
        self._too_young += decision.too_young

    def finish(self, trust: Mapping[str, Trust], *, can_keep: bool) -> LocationPlan:
        """The result. ``trust`` is that of the kept states, by id.

        ``can_keep`` says whether the location has states that the rule may keep: it is refused to keep none of them.
        """
        ended = self._completeness.ended() if self.by_rule else []
        refused, findings = self._judge([info for info, is_complete in ended if is_complete], trust, can_keep)
        return LocationPlan(
            self.location,
            self.kept,
            tuple(info for info, _ in ended),
            tuple(refused),
            tuple(findings),
            self._versions,
            self._markers,
            self._bytes,
            self._kept_versions,
            self._too_young,
        )

    def _judge(
        self, ended: Sequence[StateInfo], trust: Mapping[str, Trust], can_keep: bool
    ) -> tuple[list[str], list[str]]:
        """Why the plan must not be executed because of this location, and the signs of an attack on it."""
        if not self._detector:
            is_refused = self.by_rule and can_keep
            return ["none of its states is kept: use --keep-last, or name one with --keep-state"] * is_refused, []
        newest = self.kept[-1]
        incomplete = _describe_incomplete(self._completeness)
        refused = [] if newest.objects else [f"the newest kept state {newest.id[:12]} is empty"]
        if newest.id in incomplete:
            refused.append(f"the newest {incomplete.pop(newest.id)}")
        untrusted = _describe_untrusted(self.kept, trust)
        return refused, [*self._detector.findings(ended), *untrusted, *(f"the {text}" for text in incomplete.values())]


def _describe_incomplete(completeness: Completeness) -> dict[str, str]:
    """One sentence for each kept state that is incomplete, by state id."""
    return {
        info.id: f"kept state {info.id[:12]} ({iso(info.captured_at)}) is not complete: "
        f"{count} of its {info.objects} versions are not in the bucket"
        for info, count in completeness.incomplete_kept()
    }


def _describe_untrusted(kept: Sequence[StateInfo], trust: Mapping[str, Trust]) -> list[str]:
    """One sentence for each kept state that the bucket's history contradicts or was not compared with."""
    return [
        f"kept state {info.id[:12]} ({iso(info.captured_at)}) {_UNTRUSTED[trust[info.id]]}"
        for info in kept
        if trust[info.id] in _UNTRUSTED
    ]
