"""Execute a prune plan: delete exactly the versions and delete markers that it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from rwm.index import Index
from rwm.prune.delete_batches import delete_in_batches
from rwm.prune.key_plan import Deletion
from rwm.prune.known_locks import find_locks
from rwm.prune.plan import PrunePlan
from rwm.prune.stages import Stage
from rwm.s3 import DELETE_BATCH, S3, DeleteFailure

MAX_FAILURES = 10_000
"""After this many failures a prune stops: they are held in memory, and something else is wrong."""

MAX_LOCKED = 100_000
"""After so many versions that were found to be locked a prune stops: the next one knows them."""

Progress = Callable[[int], None]
OnDeleted = Callable[[Sequence[Deletion]], None]
"""Called with versions whose deletion the server has confirmed, in the thread of the caller."""


@dataclass
class PruneResult:
    """What was deleted; ``bytes`` are those of the versions. ``failures`` are what the server did not delete.

    ``locked`` are versions that the server did not delete because they are locked, each with the time until which they
    surely are (milliseconds). ``left`` counts what was not tried because of these, ``removed`` what was deleted by why.
    """

    versions: int = 0
    markers: int = 0
    bytes: int = 0
    failures: tuple[DeleteFailure, ...] = ()
    locked: dict[tuple[str, str], int] = field(default_factory=dict)
    left: int = 0
    removed: Counter[str] = field(default_factory=Counter)


def prune_and_forget(s3: S3, index: Index, plan: PrunePlan, progress: Progress = lambda count: None) -> PruneResult:
    """Execute the plan. Drop from the index the states that it makes incomplete, results of verification, and locks.

    The states as soon as a version may be deleted, so that an interrupted prune leaves none of them.
    """
    is_forgotten = False

    def forget(deleted: Sequence[Deletion]) -> None:
        nonlocal is_forgotten
        if not is_forgotten:
            index.forget(plan.lost_states)
            is_forgotten = True
        versions = [(item.key, item.version_id) for item in deleted]
        index.verifications.forget_content(plan.location.bucket, versions)
        index.retentions.forget(plan.location.bucket, versions)

    try:
        result = execute_prune(s3, plan, progress, forget)
    except BaseException:
        forget(())
        raise
    if result.locked:
        found = ((*version, until) for version, until in result.locked.items())
        index.retentions.record_found(plan.location.bucket, found, plan.made_at)
    return result


def execute_prune(
    s3: S3,
    plan: PrunePlan,
    progress: Progress = lambda count: None,
    on_deleted: OnDeleted = lambda deleted: None,
) -> PruneResult:
    """Delete what the plan names and nothing else. Safe to interrupt at any time and to repeat.

    A marker stays when a version of its key could not be deleted: otherwise that version would become current again.
    In a bucket with Object Lock the server is asked about each version that it did not delete.
    Then the audit still needs the locks and indexes that the plan names, so their stages do not begin.
    """
    assert not plan.refused
    result = PruneResult()
    for stage in Stage:
        if _is_stopped(result) or ((result.failures or result.locked) and stage > Stage.MARKERS):
            result.left += plan.deletions.count(stage)
        else:
            _Execution(s3, plan, result, progress, on_deleted).run(stage)
    return result


def _is_stopped(result: PruneResult) -> bool:
    return len(result.failures) >= MAX_FAILURES or len(result.locked) >= MAX_LOCKED


class _Execution:
    def __init__(self, s3: S3, plan: PrunePlan, result: PruneResult, progress: Progress, on_deleted: OnDeleted) -> None:
        self._s3 = s3
        self._plan = plan
        self._result = result
        self._progress = progress
        self._on_deleted = on_deleted

    def run(self, stage: Stage) -> None:
        """Execute one stage, as far as failures allow."""
        result = self._result
        done = 0
        threads = 1 if stage.is_by_time else None
        bucket = self._plan.location.bucket
        with closing(delete_in_batches(self._s3, bucket, self._choose(stage), threads)) as answers:
            for batch, failures in answers:
                failed = {(failure.key, failure.version_id) for failure in failures}
                deleted = [item for item in batch if (item.key, item.version_id) not in failed]
                result.removed.update(item.why for item in deleted)
                if stage.is_marker:
                    result.markers += len(deleted)
                else:
                    result.versions += len(deleted)
                    result.bytes += sum(item.size for item in deleted)
                    if deleted:
                        self._on_deleted(deleted)
                self._add_failures(failures)
                done += len(batch)
                self._progress(len(batch))
                if _is_stopped(result):
                    break
        result.left += self._plan.deletions.count(stage) - done

    def _add_failures(self, failures: Sequence[DeleteFailure]) -> None:
        if not failures:
            return
        locks: Mapping[DeleteFailure, int] = {}
        if self._plan.has_object_lock:
            locks = find_locks(self._s3, self._plan.location.bucket, failures, self._plan.made_at)
        self._result.locked |= {(failure.key, failure.version_id): until for failure, until in locks.items()}
        self._result.failures += tuple(failure for failure in failures if failure not in locks)

    def _choose(self, stage: Stage) -> Iterator[Deletion]:
        failed = {failure.key for failure in self._result.failures} | {key for key, _ in self._result.locked}
        spool = self._plan.deletions
        ordered = spool.read_by_time(stage) if stage.is_by_time else spool.read_interleaved(stage, DELETE_BATCH)
        for _, item in ordered:
            if item.key not in failed:
                yield item
