"""What a prune means for the states of one location, collected key by key. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rwm.location import Location
from rwm.model import Entry, Level, ObjectVersion, RecordedState, StateInfo, Trust, Verification
from rwm.prune.completeness import Completeness
from rwm.prune.key_plan import KeyPlan
from rwm.prune.newest_state_rules import RepositoryFiles, failed_backup, failed_verification, shrunken_state
from rwm.prune.sample import FileSample
from rwm.retention import AuditJudgement, describe_ended_last_clean, keep_forever, needed_versions
from rwm.shell import quote
from rwm.times import iso
from rwm.trust import Kind

Place = tuple[str, Kind]
"""The root of the repository that a key is a file of, and its kind."""

Needs = Sequence[tuple[Entry, range]]
"""The versions of a key that states of one location have, each with the positions of these states."""

_UNTRUSTED: Mapping[Trust, str] = {
    "contradicted": "is contradicted by the bucket's history",
    "unchecked": "was not compared with the bucket's history",
}


@dataclass(frozen=True)
class LocationPlan:
    """What a prune means for one location.

    ``refused``, ``findings`` and ``lost_states`` are as in :class:`rwm.prune.plan.PrunePlan`. A key counts for the
    innermost location that covers it, so the counts of all locations add up. ``last_clean`` is the last clean state.
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
    first_versions: int = 0
    last_clean: StateInfo | None = None

    def objections(self, *, force: bool) -> list[str]:
        """All that speaks against the location's plan; with ``force`` without the findings."""
        return [*self.refused, *(() if force else self.findings)]


class LocationCollector:
    """Collects what a prune does to the states of one location. ``states`` and ``kept`` come oldest first.

    ``by_rule`` says whether the keep rule applies to the location. Otherwise all of its states are kept; then the plan
    cannot harm them, and nothing is refused or found because of them. ``verifications`` are the results by state id.
    """

    def __init__(
        self,
        location: Location,
        states: Sequence[RecordedState],
        kept: Sequence[StateInfo],
        judgement: AuditJudgement,
        verifications: Mapping[str, Mapping[Level, Verification]],
        *,
        by_rule: bool = True,
    ) -> None:
        infos = [state.info for state in states]
        self.location = location
        self.kept = tuple(kept)
        self.by_rule = by_rule
        self._states = states
        self._judgement = judgement
        self._completeness = Completeness(infos, kept)
        self._kept_until = keep_forever(infos, kept)
        self._is_judged = bool(kept) and by_rule
        if self._is_judged:
            self._newest = infos.index(kept[-1])
            self._verified = verifications.get(kept[-1].id, {})
            self._files = RepositoryFiles(kept[-1], infos)
            self._relied = infos.index(judgement.newest_clean(kept) or kept[-1])
        self.sample = FileSample()
        self._versions = self._markers = self._bytes = self._kept_versions = self._too_young = self._first = 0

    def kept_ids(self, needs: Needs) -> set[str]:
        """The version ids of a key that kept states of the location need."""
        return set(needed_versions(((entry.version_id, positions) for entry, positions in needs), self._kept_until))

    def observe(
        self, history: Sequence[ObjectVersion], needs: Needs, decision: KeyPlan, place: Place | None = None
    ) -> None:
        """Note what the decision about a key below the location does to its states; ``place`` is that of the key."""
        if not self.by_rule:
            return
        present = {version.version_id for version in history if not version.is_marker}
        deleted = {item.version_id for item in decision.versions}
        for entry, positions in needs:
            if entry.version_id in present:
                self._completeness.add_present(positions)
            if entry.version_id in deleted:
                self._completeness.add_deleted(positions)
        if self._is_judged and place is not None:
            self._observe_file(history, needs, *place)

    def _observe_file(self, history: Sequence[ObjectVersion], needs: Needs, root: str, kind: Kind) -> None:
        states = [positions for _, positions in needs]
        is_in_newest = any(self._newest in positions for positions in states)
        self._files.observe(root, history, states, is_in_newest=is_in_newest)
        for entry, positions in needs:
            if self._relied in positions:
                self.sample.add(kind, entry)

    def count(self, decision: KeyPlan) -> None:
        """Add the decision about a key of which this is the innermost location."""
        self._versions += len(decision.versions)
        self._markers += len(decision.markers)
        self._bytes += sum(version.size for version in decision.versions)
        self._kept_versions += decision.kept
        self._too_young += decision.too_young
        self._first += decision.first

    def finish(self, trust: Mapping[str, Trust], faults: Sequence[str] = (), *, can_keep: bool = True) -> LocationPlan:
        """The result. ``trust`` is that of the kept states, by id; ``faults`` say what of :attr:`sample` is unreadable.

        ``can_keep`` says whether the location has states that the rule may keep: it is refused to keep none of them.
        """
        ended = self._completeness.ended() if self.by_rule else []
        last_clean = self._judgement.last_clean(self._states, self._completeness.complete()) if self.by_rule else None
        lost = [info for info, is_complete in ended if is_complete]
        refused, findings = self._judge(lost, last_clean, trust, can_keep)
        return LocationPlan(
            self.location,
            self.kept,
            tuple(info for info, _ in ended),
            tuple(refused),
            (*findings, *faults),
            self._versions,
            self._markers,
            self._bytes,
            self._kept_versions,
            self._too_young,
            self._first,
            last_clean,
        )

    def _judge(
        self, ended: Sequence[StateInfo], last_clean: StateInfo | None, trust: Mapping[str, Trust], can_keep: bool
    ) -> tuple[list[str], list[str]]:
        """Why the plan must not be executed because of this location, and what speaks against it unless overridden."""
        if not self._is_judged:
            is_refused = self.by_rule and can_keep
            return ["none of its states is kept: use --keep-last, or name one with --keep-state"] * is_refused, []
        newest = self.kept[-1]
        incomplete = _describe_incomplete(self._completeness)
        refused = [] if newest.objects else [f"the newest kept state {newest.short} is empty"]
        if newest.id in incomplete:
            refused.append(f"the newest {incomplete.pop(newest.id)}")
        refused += describe_ended_last_clean(last_clean, ended)
        findings = [
            *self._judgement.describe_newest(newest),
            *self._judgement.describe_younger_proof(self.location, self.kept),
            *self._files.missing_configs(),
            *failed_backup(newest),
            *failed_verification(newest, self._verified),
            *shrunken_state(newest, ended),
            *self._files.shrunken_repositories(ended),
            *_describe_untrusted(self.location, self.kept, trust),
            *(f"the {text}" for text in incomplete.values()),
        ]
        return refused, findings


def _describe_incomplete(completeness: Completeness) -> dict[str, str]:
    """One sentence for each kept state that is incomplete, by state id."""
    return {
        info.id: f"kept state {info.short} ({iso(info.captured_at)}) is not complete: "
        f"{count} of its {info.objects} versions are not in the bucket"
        for info, count in completeness.incomplete_kept()
    }


def _describe_untrusted(location: Location, kept: Sequence[StateInfo], trust: Mapping[str, Trust]) -> list[str]:
    """One sentence for each kept state that the bucket's history contradicts or was not compared with."""
    advice = {"unchecked": f": `rwm state sync {quote(location)}` does it"}
    return [
        f"kept state {info.short} ({iso(info.captured_at)}) {_UNTRUSTED[trust[info.id]]}"
        f"{advice.get(trust[info.id], '')}"
        for info in kept
        if trust[info.id] in _UNTRUSTED
    ]
