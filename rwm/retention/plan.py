"""Plan a prune: which versions no kept state needs. Reads the bucket and the index, changes nothing.

All versions of the kept states and of the present listing are kept, also locked versions, and those that were replaced
or deleted less than the minimum age ago. RWM's own objects are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rwm.errors import NotFound, S3Error, UsageError
from rwm.index import Index, missing_index
from rwm.location import Location
from rwm.model import ObjectVersion, StateInfo
from rwm.retention.completeness import Completeness
from rwm.s3 import S3
from rwm.s3.listing import list_histories
from rwm.times import iso
from rwm.trust import AttackDetector, KeyEvidence

_NEVER = 1 << 62  # milliseconds: no version is too young

Progress = Callable[[int], None]


class Deletion(NamedTuple):
    """One version or delete marker to delete. ``size`` in bytes, 0 for a marker."""

    key: str
    version_id: str
    size: int


class KeyPlan(NamedTuple):
    """The decision about one key: what to delete, and how many versions stay because they are needed or too young."""

    versions: list[Deletion]
    markers: list[Deletion]
    kept: int
    too_young: int


def plan_key(
    history: Sequence[ObjectVersion],
    kept: set[str],
    cutoff: int,
    is_locked: Callable[[Deletion], bool] = lambda _: False,
) -> KeyPlan:
    """Decide about one key. Pure but for ``is_locked``, which is asked only about versions that would be deleted.

    ``history`` comes newest first; ``kept`` are version ids that kept states reference. A version is too young when it,
    or its replacement, was written at ``cutoff`` (milliseconds) or later: the replacement may turn out to be an attack.

    A marker is deleted only when no older version of the key stays: otherwise that version would become current, now
    or in a past state. A marker that is too young stays.
    """
    versions: list[Deletion] = []
    markers: list[Deletion] = []
    needed = too_young = 0
    older_version_stays = False
    replaced_at = [history[0].last_modified, *(version.last_modified for version in history[:-1])]
    for version, replacement in reversed(list(zip(history, replaced_at, strict=True))):
        deletion = Deletion(version.key, version.version_id, version.size)
        is_young = max(version.last_modified, replacement) >= cutoff
        if version.is_marker:
            if not older_version_stays and not is_young:
                markers.append(deletion)
            continue
        if version.is_latest or version is history[0] or version.version_id in kept:
            needed += 1
        elif is_young:
            too_young += 1
        elif not is_locked(deletion):
            versions.append(deletion)
            continue
        older_version_stays = True
    return KeyPlan(versions, markers, needed, too_young)


@dataclass(frozen=True)
class PrunePlan:
    """What to delete and what to keep.

    ``refused`` says why the plan must not be executed; it is empty when it may. ``findings`` are signs of an attack,
    which the caller has to override to execute the plan. ``lost_states`` are recorded states that are incomplete
    afterwards.
    """

    bucket: str
    kept_states: tuple[StateInfo, ...]
    versions: tuple[Deletion, ...]
    markers: tuple[Deletion, ...]
    kept_versions: int
    too_young: int
    locked: int
    refused: tuple[str, ...]
    findings: tuple[str, ...] = ()
    lost_states: tuple[StateInfo, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the versions to delete."""
        return sum(version.size for version in self.versions)


def select_kept_states(index: Index, bucket: str, *, last: int, named: Iterable[str]) -> list[StateInfo]:
    """The newest ``last`` states of the bucket and the ``named`` ones, oldest first.

    A state that the bucket's history does not confirm is kept only by name. Raises UsageError when no state is asked
    for, StateNotFound for a name that is not the bucket's.
    """
    recorded = index.recorded(Location(bucket))
    confirmed = [state.info for state in recorded if state.trust in ("own", "verified")]
    candidates = confirmed or [state.info for state in recorded if state.trust == "unchecked"]
    names = list(named)
    if last < 1 and not names:
        raise UsageError("say which states to keep", hint="with --keep-last N (at least 1) or --keep-state S")
    wanted = {index.resolve(name, Location(bucket)).id for name in names} | {
        info.id for info in candidates[-last:] if last > 0
    }
    return [state.info for state in recorded if state.info.id in wanted]


def plan_prune(
    s3: S3,
    index: Index,
    bucket: str,
    keep: Sequence[StateInfo],
    *,
    min_age: int = 0,
    progress: Progress = lambda count: None,
) -> PrunePlan:
    """Read the history of every key and decide. ``keep`` comes oldest first, ``min_age`` is in milliseconds."""
    refused = _refusals(s3, bucket, keep, index.path)
    cutoff = s3.server_time(bucket) - min_age if min_age else _NEVER
    states = index.states(Location(bucket))  # read once: others may record states, and references are positions in it
    references = index.references(Location(bucket), states)
    completeness, newest = Completeness(states, keep), Completeness(states, keep[-1:])
    detector = AttackDetector(keep[-1]) if keep else None
    locks = _Locks(s3, bucket)
    versions: list[Deletion] = []
    markers: list[Deletion] = []
    kept = too_young = 0
    for part in list_histories(s3, Location(bucket)):
        for history in part:
            progress(len(history))
            needs = references.of(history[0].key)
            kept_ids = {entry.version_id for entry, positions in needs if completeness.is_kept(positions)}
            decision = plan_key(history, kept_ids, cutoff, locks.is_locked)
            present, deleted = _version_ids(history), {item.version_id for item in decision.versions}
            for entry, positions in needs:
                if entry.version_id in present:
                    completeness.add_present(positions)
                if entry.version_id in deleted:
                    completeness.add_deleted(positions)
            if detector:
                in_newest = any(newest.is_kept(positions) for _, positions in needs)
                detector.observe(KeyEvidence(history, kept_ids, in_newest))
            versions += decision.versions
            markers += decision.markers
            kept += decision.kept
            too_young += decision.too_young
    ended = completeness.ended()
    findings = detector.findings(info for info, is_complete in ended if is_complete) if detector else []
    incomplete = _describe_incomplete(completeness)
    if keep and keep[-1].id in incomplete:
        refused.append(f"the newest {incomplete.pop(keep[-1].id)}")
    return PrunePlan(
        bucket,
        tuple(keep),
        tuple(versions),
        tuple(markers),
        kept,
        too_young,
        locks.count,
        tuple(refused),
        (*findings, *_describe_untrusted(index, keep), *(f"the {text}" for text in incomplete.values())),
        tuple(info for info, _ in ended),
    )


def _refusals(s3: S3, bucket: str, keep: Sequence[StateInfo], index: Path) -> list[str]:
    """Reasons against any prune of the bucket that are known before it is listed."""
    refused = []
    versioning = s3.versioning(bucket)
    if versioning != "Enabled":  # a `null` version may be overwritten between plan and deletion
        refused.append(f"versioning of the bucket is {versioning or 'off'}")
    if not keep and (missing := missing_index(index, Location(bucket))):
        refused.append(f"{missing.message}; `rwm state sync {bucket}` or `rwm state capture {bucket}` makes it")
    elif not keep:
        refused.append(f"no state of bucket {bucket} is recorded: `rwm state capture {bucket}` records one")
    elif not keep[-1].objects:
        refused.append(f"the newest kept state {keep[-1].id[:12]} is empty")
    return refused


def _describe_incomplete(completeness: Completeness) -> dict[str, str]:
    """One sentence for each kept state that is incomplete, by state id."""
    return {
        info.id: f"kept state {info.id[:12]} ({iso(info.captured_at)}) is not complete: "
        f"{count} of its {info.objects} versions are not in the bucket"
        for info, count in completeness.incomplete_kept()
    }


def _describe_untrusted(index: Index, keep: Sequence[StateInfo]) -> list[str]:
    """One sentence for each kept state that the bucket's history contradicts or was not compared with."""
    reasons = {
        "contradicted": "is contradicted by the bucket's history",
        "unchecked": "was not compared with the bucket's history: `rwm state sync` does it",
    }
    trust = [(info, index.trust(info)) for info in keep]
    return [
        f"kept state {info.id[:12]} ({iso(info.captured_at)}) {reasons[word]}"
        for info, word in trust
        if word in reasons
    ]


def _version_ids(history: Sequence[ObjectVersion]) -> set[str]:
    return {version.version_id for version in history if not version.is_marker}


class _Locks:
    """Object locks of a bucket. The server is asked only where the bucket can have locks."""

    def __init__(self, s3: S3, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._is_supported = s3.has_object_lock(bucket)
        self.count = 0

    def is_locked(self, deletion: Deletion) -> bool:
        """Whether the version is locked; True when the server does not tell, so that it is kept."""
        if not self._is_supported:
            return False
        try:
            locked = self._s3.lock_reason(self._bucket, deletion.key, deletion.version_id) is not None
        except NotFound:
            return False
        except S3Error:
            locked = True
        self.count += locked
        return locked
