"""Plan a prune: which versions no kept state needs. Reads the bucket and the index, changes nothing.

The deletions go to a temporary file, so memory hardly grows with their number.

All versions of the kept states and of the present listing are kept, also locked versions, and those that were replaced
or deleted less than the minimum age ago. RWM's own objects are not touched, nor keys that no kept state covers.

First the location is audited, then planned from the same listing, if that was kept, or from another one. What was
written or deleted after the second that the audit judges last counts as too young.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rwm.index import Index, missing_index
from rwm.location import Location
from rwm.model import ObjectVersion, OperationChange, RecordedState, StateInfo
from rwm.prune.coverage import Coverage
from rwm.prune.deferred import Deferred, DeferredSpool
from rwm.prune.deletion_spool import Deletions, DeletionSpool
from rwm.prune.evidence import EvidenceKeeper
from rwm.prune.key_plan import KeyPlan, plan_key
from rwm.prune.known_locks import KnownLocks
from rwm.prune.location_plan import LocationCollector, LocationPlan, Needs, Place
from rwm.prune.sample import read_sample
from rwm.prune.stages import Stage
from rwm.prune.uploads import count_old_uploads, upload_cutoff
from rwm.restic import expected_sha256
from rwm.retention import AuditJudgement, candidates, follows_rule
from rwm.s3 import S3
from rwm.s3.listing import Lister, list_histories
from rwm.shell import quote
from rwm.times import SECOND
from rwm.trust import Kind, LocationAudit, RepositoryRoots, audit_location

Progress = Callable[[int], None]
IsProved = Callable[[ObjectVersion], bool]
OnStaying = Callable[[Sequence[ObjectVersion], KeyPlan], None]
"""Called with the history of a key, newest first, and the decision about it."""
Covering = Sequence[tuple[LocationCollector, Needs]]


@dataclass(frozen=True)
class PrunePlan:
    """What to delete and what to keep.

    ``locations`` are those of all recorded states that overlap the pruned location, sorted. ``refused`` says why the
    plan must not be executed; it is empty when it may. ``findings`` are what else speaks against it, which the caller
    has to override to execute the plan. ``lost_states`` are recorded states that are incomplete afterwards.
    ``uncovered`` counts the versions of keys that no kept state covers: all of them stay. ``evidence`` counts those
    that stay because an audit judges others by them. ``files_read`` are the files of kept states that were read.
    ``bucket_findings`` are those of the ``findings`` that are of no location.
    """

    location: Location
    locations: tuple[LocationPlan, ...]
    deletions: DeletionSpool
    locked: int = 0
    uncovered: int = 0
    bucket_refused: tuple[str, ...] = ()
    evidence: int = 0
    files_read: int = 0
    made_at: int = 0
    """When the audit began, by the server's clock, in milliseconds."""
    cutoff: int = 0
    """What was written, replaced or deleted at this time or later stays."""
    uploads: int = 0
    """Unfinished uploads to abort."""
    is_denied: bool = False
    """Whether this account may read none of the files of kept states."""
    has_object_lock: bool = False
    """Whether versions of the bucket may be locked. ``locked`` are those that are known to be; more may be found."""
    bucket_findings: tuple[str, ...] = ()

    @property
    def versions(self) -> Deletions:
        """The versions to delete."""
        return self.deletions.versions

    @property
    def markers(self) -> Deletions:
        """The delete markers to delete."""
        return self.deletions.markers

    @property
    def bytes(self) -> int:
        """Size of the versions to delete."""
        return self.deletions.size

    @property
    def kept_versions(self) -> int:
        """Number of the versions that stay because kept states or the present listing need them."""
        return sum(place.kept_versions for place in self.locations)

    @property
    def too_young(self) -> int:
        """Number of the versions that stay only because of the minimum age."""
        return sum(place.too_young for place in self.locations)

    @property
    def first_versions(self) -> int:
        """Number of the first versions that stay because their names were written again, with unproved content."""
        return sum(place.first_versions for place in self.locations)

    @property
    def kept_states(self) -> tuple[StateInfo, ...]:
        """The kept states of all locations."""
        return tuple(info for place in self.locations for info in place.kept_states)

    @property
    def lost_states(self) -> tuple[StateInfo, ...]:
        """The lost states of all locations."""
        return tuple(info for place in self.locations for info in place.lost_states)

    @property
    def refused(self) -> tuple[str, ...]:
        """Reasons against the bucket, and those against a location, which they name if there are several."""
        return (*self.bucket_refused, *self._named((place, place.refused) for place in self.locations))

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings of the bucket and of all locations, named in the same way."""
        return (*self.bucket_findings, *self._named((place, place.findings) for place in self.locations))

    def objections(self, *, force: bool) -> list[str]:
        """All that speaks against the plan; with ``force`` without the findings."""
        return [*self.refused, *(() if force else self.findings)]

    def prunable_prefixes(self, *, force: bool) -> list[LocationPlan]:
        """The prefixes inside the pruned location that can be pruned by themselves, when some of the locations cannot.

        With ``force``, in spite of findings.
        """
        return [
            place
            for place in self.locations
            if place.location != self.location
            and follows_rule(self.location, place.location)
            and place.kept_states
            and not place.objections(force=force)
        ]

    def _named(self, lines: Iterable[tuple[LocationPlan, tuple[str, ...]]]) -> tuple[str, ...]:
        several = len(self.locations) > 1
        return tuple(f"{place.location}: {line}" if several else line for place, found in lines for line in found)


def plan_prune(
    s3: S3,
    index: Index,
    location: Location,
    keep: Sequence[StateInfo],
    *,
    min_age: int = 0,
    audit: LocationAudit | None = None,
    progress: Progress = lambda count: None,
    cutoff: int | None = None,
    on_staying: OnStaying = lambda history, decision: None,
    lister: Lister | None = None,
    locked_states: Iterable[OperationChange] = (),
) -> PrunePlan:
    """Audit the location, read the history of every key below it, and decide. ``min_age`` is in milliseconds.

    It is audited unless the caller did that already (``audit``). ``cutoff`` takes the place of ``min_age``.
    ``on_staying`` is called with every decision, but not for what stays as evidence alone. ``lister`` has what the
    audit listed, if that was kept. ``locked_states`` are trusted records of states that RWM locked, also on other
    computers; they are read if the bucket has Object Lock.

    ``keep`` are states of locations that the keep rule applies to (:func:`rwm.retention.selection.follows_rule`),
    oldest first; every other state that overlaps the location is kept. Raises the errors of listings, and IndexDamaged
    if a kept state has other entries than its id says: then a deletion could not be undone.
    """
    recorded = index.recorded(location)  # read once: references are positions in it, and others may record states
    others = [state.info for state in recorded if not follows_rule(location, state.info.location)]
    index.check_ids(list(dict.fromkeys([*keep, *others])))
    refused = _bucket_refusals(s3, location, keep, recorded, index.path)
    audit = audit or audit_location(s3, location, progress=progress)
    coverage = Coverage(index, location, recorded, keep, AuditJudgement(audit))
    if cutoff is None:
        cutoff = max(audit.known_now - min_age, 0) if min_age else audit.known_now + SECOND
    locks = KnownLocks(s3, index, location.bucket, audit.known_now, locked_states)
    planner = _Planner(audit, cutoff, locks, index.verifications.proofs(location.bucket), on_staying)
    for part in list_histories(lister or s3, location):  # without RWM's own objects
        for history in part:
            progress(len(history))
            planner.add(history, coverage.of(history[0].key))
    planner.decide_deferred(coverage.of)
    sample = coverage.samples()
    faults = read_sample(s3, location.bucket, sample)
    locations = coverage.finish({entry: fault.text for entry, fault in faults.items()})
    plan = planner.finish(location, locations, refused, len(sample))
    uploads = count_old_uploads(s3, location, upload_cutoff(plan.made_at, plan.cutoff))
    denied = bool(faults) and len(faults) == len(sample) and all(fault.is_denied for fault in faults.values())
    unknown = tuple(locks.describe_unknown(location))
    return replace(plan, uploads=uploads, bucket_findings=unknown, is_denied=denied)


class _Planner:
    """Decides key by key, and collects the decisions."""

    def __init__(
        self, audit: LocationAudit, cutoff: int, locks: KnownLocks, is_proved: IsProved, on_staying: OnStaying
    ) -> None:
        self._made_at = audit.now
        self._cutoff = cutoff
        self._on_staying = on_staying
        self._locks = locks
        self._is_proved = is_proved
        self._roots = RepositoryRoots([repository.root for repository in audit.repositories])
        self._evidence = EvidenceKeeper(audit.captures, audit.settings.own)
        self._deferred = DeferredSpool()
        self._deletions = DeletionSpool()
        self._uncovered = self._kept_evidence = 0

    def add(self, history: Sequence[ObjectVersion], covering: Covering) -> None:
        """Decide about one key. ``covering`` are all locations that cover it, the innermost last, and their needs."""
        place = self._roots.find(history[0].key)
        if _is_ruled(covering):
            kept = set().union(*(collector.kept_ids(needs) for collector, needs in covering))
            is_proved = self._is_proved if _is_written_once(history[0].key, place) else None
            decision = plan_key(history, kept, self._cutoff, self._locks.is_locked, is_proved)
        else:
            decision = KeyPlan([], [], 0, 0)
            self._uncovered += sum(not version.is_marker for version in history)
        if place is not None and self._evidence.observe(*place, history, decision):
            self._deferred.add(Deferred(*place, history, decision))
        else:
            self._on_staying(history, decision)
            self._decide(history, covering, decision, place)

    def decide_deferred(self, find_covering: Callable[[str], Covering]) -> None:
        """Decide about the keys that may be evidence: after all others."""
        stays = self._evidence.decide(self._deferred)
        for item in self._deferred:
            decision = item.decision
            if stays(item):
                self._kept_evidence += len(decision.versions)
                decision = decision._replace(versions=[], markers=[])
            else:
                self._on_staying(item.history, decision)
            self._decide(item.history, find_covering(item.history[0].key), decision, (item.root, item.kind))

    def _decide(
        self, history: Sequence[ObjectVersion], covering: Covering, decision: KeyPlan, place: Place | None
    ) -> None:
        if _is_ruled(covering):
            covering[-1][0].count(decision)
        for collector, needs in covering:
            collector.observe(history, needs, decision, place)
        kind = None if place is None else place[1]
        self._deletions.add(Stage.of(kind, is_marker=False), decision.versions)
        self._deletions.add(Stage.of(kind, is_marker=True), decision.markers)

    def finish(
        self, location: Location, locations: tuple[LocationPlan, ...], refused: tuple[str, ...], files_read: int
    ) -> PrunePlan:
        """The plan of all decisions."""
        return PrunePlan(
            location,
            locations,
            self._deletions.finish(),
            self._locks.count,
            self._uncovered,
            refused,
            self._kept_evidence,
            files_read,
            self._made_at,
            self._cutoff,
            has_object_lock=self._locks.has_object_lock,
        )


def _is_ruled(covering: Covering) -> bool:
    """Whether a prune may delete versions of a key that these locations cover."""
    return any(collector.by_rule and collector.kept for collector, _ in covering)


def _is_written_once(key: str, place: Place | None) -> bool:
    """Whether restic writes the key once: a name that is the hash of its content, and ``config``."""
    return expected_sha256(key) is not None or (place is not None and place[1] is Kind.CONFIG)


def _bucket_refusals(
    s3: S3, location: Location, keep: Sequence[StateInfo], recorded: Sequence[RecordedState], index: Path
) -> tuple[str, ...]:
    """Reasons against any prune of the location that are known before it is listed."""
    refused = []
    versioning = s3.versioning(location.bucket)
    if versioning != "Enabled":  # a `null` version may be overwritten between plan and deletion
        refused.append(f"versioning of the bucket is {versioning or 'off'}")
    own = [state for state in recorded if follows_rule(location, state.info.location)]
    if candidates(own) or any(follows_rule(location, info.location) for info in keep):
        return tuple(refused)
    if missing := missing_index(index, location):
        refused.append(
            f"{missing.message}; `rwm state sync {quote(location)}` or `rwm state capture {quote(location)}` makes it"
        )
    elif own:
        refused.append(f"the bucket's history confirms no recorded state of {location.described}")
    else:
        refused.append(
            f"no state of {location.described} is recorded: `rwm state capture {quote(location)}` records one"
        )
    return tuple(refused)
