"""Prune: delete the versions that nothing needs any more. A plan is made first; executing it deletes exactly that.

Kept are all versions of the kept states and of the present listing, whatever was replaced or deleted less than the
minimum age ago, and what is locked. RWM's own objects are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from rwm.errors import NotFound, S3Error, UsageError
from rwm.index import Index
from rwm.model import ObjectVersion, StateInfo
from rwm.retention.completeness import Completeness
from rwm.s3 import S3, DeleteFailure
from rwm.s3.listing import histories
from rwm.times import iso
from rwm.trust import Watch

CHUNK = 250  # versions to one request: Ceph RGW takes 15 s for 1,000
THREADS = 4  # few: many deletes at once have hung bucket indexes of Ceph RGW
_NEVER = 1 << 62

Progress = Callable[[int], None]


class Deletion(NamedTuple):
    """One version or delete marker to delete. ``size`` in bytes, 0 for a marker."""

    key: str
    version_id: str
    size: int


class KeyPlan(NamedTuple):
    """What becomes of one key's entries."""

    versions: list[Deletion]
    markers: list[Deletion]
    kept: int
    too_young: int


def plan_key(
    history: Sequence[ObjectVersion], kept: set[str], cutoff: int, locked: Callable[[Deletion], bool] = lambda _: False
) -> KeyPlan:
    """Decide on one key's entries, newest first. Pure but for ``locked``, which is asked only about the doomed.

    ``kept`` are version ids that kept states reference. An entry is too young when it, or what replaced it, was
    written at ``cutoff`` (milliseconds) or later: somebody may yet find out that the replacement was an attack.

    A marker goes only when no version older than it stays: deleting it would bring that version back, now or for
    a state of the past. A marker that is younger than the cutoff stays.
    """
    versions: list[Deletion] = []
    markers: list[Deletion] = []
    needed = too_young = 0
    survivors_below = False
    replaced = [history[0].last_modified, *(version.last_modified for version in history[:-1])]
    for version, replacement in reversed(list(zip(history, replaced, strict=True))):
        doomed = Deletion(version.key, version.version_id, version.size)
        young = max(version.last_modified, replacement) >= cutoff
        if version.is_marker:
            if not survivors_below and not young:
                markers.append(doomed)
            continue
        if version.is_latest or version is history[0] or version.version_id in kept:
            needed += 1
        elif young:
            too_young += 1
        elif not locked(doomed):
            versions.append(doomed)
            continue
        survivors_below = True
    return KeyPlan(versions, markers, needed, too_young)


@dataclass(frozen=True)
class PrunePlan:
    """What to delete and what not.

    ``refused`` says why it must not be executed; it is empty when it may. ``findings`` are what looks like an attack:
    whoever executes the plan in spite of them has to mean it. ``lost_states`` are recorded states that are not whole
    any more afterwards.
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
        """What deleting frees."""
        return sum(doomed.size for doomed in self.versions)


def select_kept_states(index: Index, bucket: str, *, last: int, named: Iterable[str]) -> list[StateInfo]:
    """The newest ``last`` states of the bucket and the ``named`` ones, oldest first. Raises UsageError for none.

    A state that the bucket's history does not confirm is kept only by name. Raises StateNotFound for a name that is not
    the bucket's.
    """
    recorded = index.recorded(bucket)
    states = [state.info for state in recorded]
    credible = [state.info for state in recorded if state.trust in ("own", "verified")]
    credible = credible or [state.info for state in recorded if state.trust == "unchecked"]
    names = list(named)
    if last < 1 and not names:
        raise UsageError("say which states to keep", hint="with --keep-last N (at least 1) or --keep-state S")
    wanted = {index.resolve(name, bucket).id for name in names} | {info.id for info in credible[-last:] if last > 0}
    return [info for info in states if info.id in wanted]


def plan_prune(
    s3: S3,
    index: Index,
    bucket: str,
    keep: Sequence[StateInfo],
    *,
    min_age: int = 0,
    progress: Progress = lambda count: None,
) -> PrunePlan:
    """Look at the whole bucket and decide. ``min_age`` in milliseconds. Changes nothing."""
    reasons = _reasons(s3, bucket, keep)
    cutoff = s3.server_time(bucket) - min_age if min_age else _NEVER
    recorded = index.states(bucket)  # once: if another process recorded one meanwhile, places in the list would shift
    references, tally = index.references(bucket, recorded), Completeness(recorded, keep)
    last = Completeness(recorded, keep[-1:])
    watch = Watch(keep[-1]) if keep else None
    locks = _Locks(s3, bucket)
    versions: list[Deletion] = []
    markers: list[Deletion] = []
    kept = young = 0
    for part in histories(s3, bucket):
        for history in part:
            progress(len(history))
            needs = references.of(history[0].key)
            wanted = {entry.version_id for entry, states in needs if tally.is_kept(states)}
            decided = plan_key(history, wanted, cutoff, locks.hold)
            there, doomed = _ids(history), {item.version_id for item in decided.versions}
            for entry, states in needs:
                if entry.version_id in there:
                    tally.there(states)
                if entry.version_id in doomed:
                    tally.doomed(states)
            if watch:
                watch.look(history, wanted, any(last.is_kept(states) for _, states in needs))
            versions += decided.versions
            markers += decided.markers
            kept += decided.kept
            young += decided.too_young
    ending = tally.ending()
    findings = watch.findings(info for info, whole in ending if whole) if watch else []
    findings += _doubts(index, keep)
    lacking = _lacking(tally)
    if keep and keep[-1].id in lacking:
        reasons.append(f"the newest {lacking.pop(keep[-1].id)}")
    return PrunePlan(
        bucket,
        tuple(keep),
        tuple(versions),
        tuple(markers),
        kept,
        young,
        locks.held,
        tuple(reasons),
        (*findings, *(f"the {text}" for text in lacking.values())),
        tuple(info for info, _ in ending),
    )


def _lacking(tally: Completeness) -> dict[str, str]:
    """What is wrong with the kept states that are not whole, by state id."""
    return {
        info.id: f"kept state {info.id[:12]} ({iso(info.captured_at)}) is not complete: "
        f"{count} of its {info.objects} versions are not in the bucket"
        for info, count in tally.missing()
    }


def _doubts(index: Index, keep: Sequence[StateInfo]) -> list[str]:
    """Kept states that are not known to be what the bucket's history says."""
    why = {
        "contradicted": "is contradicted by the bucket's history",
        "unchecked": "was not compared with the bucket's history: `rwm state sync` does it",
    }
    trust = [(info, index.trust(info)) for info in keep]
    return [f"kept state {info.id[:12]} ({iso(info.captured_at)}) {why[word]}" for info, word in trust if word in why]


def _ids(history: Sequence[ObjectVersion]) -> set[str]:
    return {version.version_id for version in history if not version.is_marker}


class _Locks:
    """Asks the server what it holds, where the bucket can have locks at all."""

    def __init__(self, s3: S3, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._possible = s3.has_object_lock(bucket)
        self.held = 0

    def hold(self, doomed: Deletion) -> bool:
        """Whether the version is locked. One of which the server does not tell counts as locked: it is kept."""
        if not self._possible:
            return False
        try:
            locked = self._s3.lock_reason(self._bucket, doomed.key, doomed.version_id) is not None
        except NotFound:
            return False
        except S3Error:
            locked = True
        self.held += locked
        return locked


def _reasons(s3: S3, bucket: str, keep: Sequence[StateInfo]) -> list[str]:
    reasons = []
    versioning = s3.versioning(bucket)
    if versioning != "Enabled":  # a `null` version may be another one by the time that it is deleted
        reasons.append(f"versioning of the bucket is {versioning or 'off'}")
    if not keep:
        reasons.append(f"no state of bucket {bucket} is recorded: `rwm state capture {bucket}` records one")
    elif not keep[-1].objects:
        reasons.append(f"the newest kept state {keep[-1].id[:12]} is empty")
    return reasons


@dataclass
class PruneResult:
    """What was deleted, and what the server kept. Bytes are those of the deleted versions."""

    versions: int = 0
    markers: int = 0
    bytes: int = 0
    failures: tuple[DeleteFailure, ...] = ()


def prune_and_forget(s3: S3, index: Index, todo: PrunePlan, progress: Progress = lambda count: None) -> PruneResult:
    """Execute the plan, and take the states that it ends out of the index: a mount of them would be a lie."""
    try:
        result = execute_prune(s3, todo, progress)
    except BaseException:
        index.forget(todo.lost_states)  # some of it may be deleted
        raise
    if result.versions:
        index.forget(todo.lost_states)
    return result


def execute_prune(s3: S3, todo: PrunePlan, progress: Progress = lambda count: None) -> PruneResult:
    """Delete what the plan names and nothing else. Safe to interrupt at any time and to repeat.

    All versions go before any delete marker, and a marker stays when a version below it could not be deleted:
    otherwise that version would come back.
    """
    assert not todo.refused
    result = PruneResult()
    failures = _delete(s3, todo.bucket, todo.versions, progress)
    stayed = {(fail.key, fail.version_id) for fail in failures}
    gone = [doomed for doomed in todo.versions if (doomed.key, doomed.version_id) not in stayed]
    result.versions, result.bytes = len(gone), sum(doomed.size for doomed in gone)
    guarded = {fail.key for fail in failures}
    markers = [marker for marker in todo.markers if marker.key not in guarded]
    marker_failures = _delete(s3, todo.bucket, markers, progress)
    result.markers = len(markers) - len(marker_failures)
    result.failures = (*failures, *marker_failures)
    return result


def _delete(s3: S3, bucket: str, doomed: Sequence[Deletion], progress: Progress) -> list[DeleteFailure]:
    def one(chunk: list[Deletion]) -> list[DeleteFailure]:
        return s3.delete_versions(bucket, [(item.key, item.version_id) for item in chunk])

    failures: list[DeleteFailure] = []
    ordered = iter(spread(doomed))
    with ThreadPoolExecutor(THREADS) as pool:
        while wave := [chunk for chunk in (list(islice(ordered, CHUNK)) for _ in range(THREADS)) if chunk]:
            for chunk, failed in zip(wave, pool.map(one, wave), strict=True):
                failures += failed
                progress(len(chunk))
    return failures


def spread(doomed: Iterable[Deletion]) -> list[Deletion]:
    """Reorder so that versions of one key stand far apart: many deletes of one key at once hurt bucket indexes."""
    count: dict[str, int] = {}
    ranked = []
    for item in doomed:
        count[item.key] = rank = count.get(item.key, -1) + 1
        ranked.append((rank, item))
    return [item for _, item in sorted(ranked)]
