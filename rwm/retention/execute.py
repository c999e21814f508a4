"""Execute a prune plan: delete exactly the versions and delete markers that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from rwm.index import Index
from rwm.retention.key_plan import Deletion
from rwm.retention.plan import PrunePlan
from rwm.s3 import DELETE_BATCH, S3, DeleteFailure

THREADS = 4  # few: many simultaneous deletes have made bucket indexes of Ceph RGW hang

Progress = Callable[[int], None]


@dataclass
class PruneResult:
    """What was deleted; ``bytes`` are those of the versions. ``failures`` are what the server did not delete."""

    versions: int = 0
    markers: int = 0
    bytes: int = 0
    failures: tuple[DeleteFailure, ...] = ()


def prune_and_forget(s3: S3, index: Index, plan: PrunePlan, progress: Progress = lambda count: None) -> PruneResult:
    """Execute the plan, and remove from the index the states that it makes incomplete and the results of verification.

    Of an interrupted prune those of all versions that it may have deleted.
    """
    try:
        result = execute_prune(s3, plan, progress)
    except BaseException:
        _forget(index, plan)
        raise
    if result.versions:
        _forget(index, plan, result.failures)
    return result


def _forget(index: Index, plan: PrunePlan, failures: Iterable[DeleteFailure] = ()) -> None:
    index.forget(plan.lost_states)
    failed = {(failure.key, failure.version_id) for failure in failures}
    deleted = ((version.key, version.version_id) for version in plan.versions)
    index.verifications.forget_content(plan.location.bucket, (version for version in deleted if version not in failed))


def execute_prune(s3: S3, plan: PrunePlan, progress: Progress = lambda count: None) -> PruneResult:
    """Delete what the plan names and nothing else. Safe to interrupt at any time and to repeat.

    All versions are deleted before any delete marker, and a marker stays when a version of its key could not be
    deleted: otherwise that version would become current again.
    """
    assert not plan.refused
    result = PruneResult()
    failures = _delete(s3, plan.location.bucket, plan.versions, progress)
    failed = {(failure.key, failure.version_id) for failure in failures}
    deleted = [version for version in plan.versions if (version.key, version.version_id) not in failed]
    result.versions, result.bytes = len(deleted), sum(version.size for version in deleted)
    failed_keys = {failure.key for failure in failures}
    markers = [marker for marker in plan.markers if marker.key not in failed_keys]
    marker_failures = _delete(s3, plan.location.bucket, markers, progress)
    result.markers = len(markers) - len(marker_failures)
    result.failures = (*failures, *marker_failures)
    return result


def _delete(s3: S3, bucket: str, deletions: Sequence[Deletion], progress: Progress) -> list[DeleteFailure]:
    def delete_batch(batch: list[Deletion]) -> list[DeleteFailure]:
        return s3.delete_versions(bucket, [(item.key, item.version_id) for item in batch])

    failures: list[DeleteFailure] = []
    ordered = iter(interleave_keys(deletions))
    with ThreadPoolExecutor(THREADS) as pool:
        while batches := [batch for batch in (list(islice(ordered, DELETE_BATCH)) for _ in range(THREADS)) if batch]:
            for batch, failed in zip(batches, pool.map(delete_batch, batches), strict=True):
                failures += failed
                progress(len(batch))
    return failures


def interleave_keys(deletions: Iterable[Deletion]) -> list[Deletion]:
    """Reorder so that versions of one key are far apart: simultaneous deletes of one key slow down bucket indexes."""
    ranks: dict[str, int] = {}
    ranked = []
    for item in deletions:
        ranks[item.key] = rank = ranks.get(item.key, -1) + 1
        ranked.append((rank, item))
    return [item for _, item in sorted(ranked)]
