"""Set the retentions of a lock plan, in parallel; what was set is recorded, so an interrupted run is continued."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

from rwm.errors import AccessDenied, S3Error, Unreachable
from rwm.index import Index
from rwm.lock.plan import DueLock, LockPlan
from rwm.model import RetentionChange
from rwm.s3 import S3
from rwm.times import SECOND

THREADS = 16
"""Requests at once; more made Ceph RGW slower."""

BATCH = 500
"""Locks that are recorded in one transaction."""

MAX_LISTED = 100
"""Failures that are held; all are counted."""

_SETTLING = 2 * SECOND
"""Servers have refused to lock a version that was written less than a second before."""
_ATTEMPTS = 3

Progress = Callable[[int], None]


class LockFailure(NamedTuple):
    """A version that was not locked, and the server's error code."""

    key: str
    version_id: str
    code: str


@dataclass
class LockResult:
    """How many versions were locked; ``longer`` had a lock already that lasts as long. ``failures`` are the first."""

    locked: int = 0
    longer: int = 0
    failed: int = 0
    failures: list[LockFailure] = field(default_factory=list)

    @property
    def is_denied(self) -> bool:
        """Whether the server refused everything: the account may set no retention."""
        done = self.locked + self.longer
        return self.failed > 0 and not done and {failure.code for failure in self.failures} == {"AccessDenied"}

    def add(self, outcome: RetentionChange | LockFailure, due: DueLock) -> None:
        """Count the outcome of one request."""
        if isinstance(outcome, LockFailure):
            self.failed += 1
            if len(self.failures) < MAX_LISTED:
                self.failures.append(outcome)
        elif outcome == due.change:
            self.locked += 1
        else:
            self.longer += 1


def set_locks(s3: S3, index: Index, plan: LockPlan, progress: Progress = lambda count: None) -> LockResult:
    """Set the retentions that are due. ``index``, to which they are recorded, is another connection than the plan's.

    Stops after a batch if the server refuses all of it. Raises Unreachable if the server is lost; what was set by then
    is recorded.
    """
    result = LockResult()
    _set(s3, plan, plan.due(), partial(index.retentions.record, plan.location.bucket), result, progress)
    return result


def set_own_locks(
    s3: S3,
    index: Index,
    plan: LockPlan,
    due: Iterable[DueLock],
    result: LockResult,
    progress: Progress = lambda count: None,
) -> None:
    """Set the retentions of RWM's own files, which no state has, and count them in ``result``."""

    def record(done: Sequence[RetentionChange]) -> None:
        locks = ((change.key, change.version_id, change.retention.until) for change in done)
        index.retentions.record_found(plan.location.bucket, locks, plan.timing.now)

    _set(s3, plan, iter(due), record, result, progress)


def _set(
    s3: S3,
    plan: LockPlan,
    due: Iterator[DueLock],
    record: Callable[[Sequence[RetentionChange]], None],
    result: LockResult,
    progress: Progress,
) -> None:
    """Set retentions in batches; ``record`` gets what was set of each."""
    bucket, young = plan.location.bucket, plan.timing.now - _SETTLING
    with ThreadPoolExecutor(THREADS) as pool:
        while batch := list(islice(due, BATCH)):
            outcomes = pool.map(lambda each: _lock(s3, bucket, each.change, is_young=each.written_at > young), batch)
            done: list[RetentionChange] = []
            try:
                for outcome, each in zip(outcomes, batch, strict=True):
                    result.add(outcome, each)
                    if isinstance(outcome, RetentionChange):
                        done.append(outcome)
            finally:
                record(done)
            progress(len(batch))
            if result.is_denied:
                break


def _lock(s3: S3, bucket: str, change: RetentionChange, *, is_young: bool) -> RetentionChange | LockFailure:
    """Set one retention; returns the one that the version has then, or the failure."""
    try:
        return _extend(s3, bucket, change, is_young=is_young)
    except Unreachable:
        raise
    except S3Error as error:
        return LockFailure(change.key, change.version_id, error.code or type(error).__name__)


def _extend(s3: S3, bucket: str, change: RetentionChange, *, is_young: bool) -> RetentionChange:
    """Set one retention. Where the server refuses, the present one tells why: it is longer, or of the other mode."""
    left = _ATTEMPTS
    while True:
        try:
            _put(s3, bucket, change)
        except AccessDenied:
            left -= 1
            current = s3.retention(bucket, change.key, change.version_id)
            if current is not None and current.until >= change.retention.until:
                return change._replace(retention=current)
            if not left:
                raise
            if current is not None and current.mode != change.retention.mode:
                change = change._replace(retention=change.retention._replace(mode=current.mode))
            elif is_young:
                s3.sleep(1)
            else:
                raise
        else:
            return change


def _put(s3: S3, bucket: str, change: RetentionChange) -> None:
    key, version_id, retention = change
    s3.retry(lambda: s3.put_retention(bucket, key, version_id, retention), f"PutObjectRetention {bucket}/{key}")
