"""Make the changes of a plan, in parallel, phase by phase, and record each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import attrgetter

from rwm.errors import AccessDenied, RwmError, S3Error, Unreachable
from rwm.model import ObjectVersion, OperationChange
from rwm.operations import OperationLog
from rwm.rollback.change_spool import ChangeSpool
from rwm.rollback.interrupted import record_made
from rwm.rollback.plan import BATCH, RollbackPlan
from rwm.s3 import S3

THREADS = 16
IN_FLIGHT = 4
"""Tasks for each thread that are taken before the outcome of the first one is known: the bound of memory."""

MAX_FAILURES_AT_START = 16
MAX_FAILURES_IN_A_ROW = 100
"""Consecutive requests that were denied or got no answer: the fault is not one of single objects."""

_SETTLE = 0.2
"""Seconds after which a server surely lists what was written."""

_RECORDED_AT_ONCE = 64
"""Changes that are recorded in one transaction, at least: after a kill, the last ones may not be recorded."""

_CHANGED = "it was written since the plan was made"

Progress = Callable[[int], None]
Task = list[OperationChange]
Outcome = tuple[Task, list[tuple[str, str]]]
"""What a task has done, and (key, reason) of what it has not."""


@dataclass
class RollbackResult:
    """What was done; ``failures`` are (key, reason)."""

    copies: int = 0
    copied_bytes: int = 0
    unmarked: int = 0
    marked: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """How many copies and delete markers."""
        return self.copies + self.unmarked + self.marked

    def add(self, changes: Task) -> None:
        """Count changes."""
        for change in changes:
            self.copies += change.did == "copied"
            self.copied_bytes += change.size if change.did == "copied" else 0
            self.unmarked += change.did == "unmarked"
            self.marked += change.did == "marked"


def execute_plan(
    s3: S3,
    plan: RollbackPlan,
    log: OperationLog,
    progress: Progress = lambda count: None,
    *,
    beside_writers: bool = False,
) -> RollbackResult:
    """Make all changes of the plan. Safe to interrupt at any time: a new plan has what is left.

    ``beside_writers``: somebody may write meanwhile. Each key is looked at right before its copy or delete marker, at
    one request more; one that was written since the plan was made is left as it is, and becomes a failure.
    Where the server does not tell the ids of what it wrote, a listing at the end does.
    What concerns one key becomes a failure. Raises AccessDenied and Unreachable if there are many in a row.
    """
    result = RollbackResult()
    outcomes = _Outcomes(log, result, progress)
    pool = ThreadPoolExecutor(THREADS)
    try:
        for changes in plan.spool.phases():  # a phase begins when the one before is done
            _run(pool, _Changes(s3, plan.location.bucket, beside_writers), changes, outcomes)
    finally:
        pool.shutdown(cancel_futures=True)
        outcomes.record()
    outcomes.raise_if_all_failed()
    with closing(outcomes.unnamed) as unnamed:
        if outcomes.has_unnamed:
            time.sleep(_SETTLE)
            record_made(s3, plan.location, unnamed, log)
    return result


def _run(pool: ThreadPoolExecutor, make: _Changes, changes: Iterator[OperationChange], outcomes: _Outcomes) -> None:
    running: deque[tuple[Task, Future[Outcome]]] = deque()
    for task in make.tasks(changes):
        running.append((task, pool.submit(make.run, task)))
        if len(running) >= IN_FLIGHT * THREADS:
            outcomes.take(*running.popleft())
    while running:
        outcomes.take(*running.popleft())


class _Outcomes:
    """Counts and records what tasks have done, and raises errors that concern all of them."""

    def __init__(self, log: OperationLog, result: RollbackResult, progress: Progress) -> None:
        self._log = log
        self._result = result
        self._progress = progress
        self._done: Task = []
        self.unnamed = ChangeSpool()
        """Changes that were made, without the ids of what was written."""
        self.has_unnamed = False
        self._faults: list[RwmError] = []  # consecutive ones that may concern all objects

    def take(self, task: Task, outcome: Future[Outcome]) -> None:
        """Wait for the outcome of a task."""
        done: Task = []
        try:
            done, failures = outcome.result()
            self._faults.clear()
        except RwmError as error:
            self._note_fault(error)
            failures = [(each.key, error.why) for each in task]
        self._done += [change for change in done if change.version_id]
        for change in done:
            if not change.version_id:
                self.unnamed.add(change)
                self.has_unnamed = True
        self._result.add(done)
        self._result.failures += failures
        if len(self._done) >= _RECORDED_AT_ONCE:
            self.record()
        self._progress(len(task))

    def _note_fault(self, error: RwmError) -> None:
        if not isinstance(error, AccessDenied | Unreachable):
            self._faults.clear()
            return
        self._faults.append(error)
        if len(self._faults) >= (MAX_FAILURES_IN_A_ROW if self._result.changes else MAX_FAILURES_AT_START):
            raise error

    def raise_if_all_failed(self) -> None:
        """Raise an error that every request had: there were fewer than the limit."""
        if self._faults and not self._result.changes:
            raise self._faults[-1]

    def record(self) -> None:
        """Record what was done so far."""
        done, self._done = self._done, []
        if done:
            self._log.add(done)


class _Changes:
    """Makes changes of one kind, as many as fit one request. Called in threads."""

    def __init__(self, s3: S3, bucket: str, beside_writers: bool) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._beside_writers = beside_writers

    def tasks(self, changes: Iterator[OperationChange]) -> Iterator[Task]:
        """The changes that one call of :meth:`run` makes."""
        for did, group in groupby(changes, key=attrgetter("did")):
            size = 1 if did == "copied" or (did == "marked" and self._beside_writers) else BATCH
            while task := list(islice(group, size)):
                yield task

    def run(self, task: Task) -> Outcome:
        """Make the changes of a task."""
        match task[0].did:
            case "copied":
                return self._copy(*task), []
            case "unmarked":
                return self._unmark(task)
            case _ if self._beside_writers:
                return self._mark_one(*task), []
            case _:
                return self._mark(task)

    def _copy(self, change: OperationChange) -> Task:
        over = self._look(change) if self._beside_writers else None
        with _refused_if_changed():
            version_id = self._s3.copy_back(
                self._bucket, change.key, change.source, change.size, change.storage_class, over
            )
        return [change._replace(version_id=version_id)]

    def _unmark(self, task: Task) -> Outcome:
        failures = self._s3.delete_versions(self._bucket, [(change.key, change.version_id) for change in task])
        failed = {(each.key, each.version_id) for each in failures}
        done = [change for change in task if (change.key, change.version_id) not in failed]
        return done, [(each.key, each.code) for each in failures]

    def _mark(self, task: Task) -> Outcome:
        markers, failures = self._s3.put_markers(self._bucket, [change.key for change in task])
        failed = {each.key for each in failures}
        done = [change._replace(version_id=markers[change.key]) for change in task if change.key not in failed]
        return done, [(each.key, each.code) for each in failures]

    def _mark_one(self, change: OperationChange) -> Task:
        over = self._look(change)
        with _refused_if_changed():
            return [change._replace(version_id=self._s3.put_marker_over(self._bucket, over))]

    def _look(self, change: OperationChange) -> ObjectVersion:
        """The current entry of the key. Raises S3Error if it is not that of the plan."""
        entry = self._s3.newest(self._bucket, change.key)
        if entry is None or entry.version_id != change.before:
            raise S3Error(_CHANGED)
        return entry


@contextmanager
def _refused_if_changed() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code == "PreconditionFailed":
            raise S3Error(_CHANGED) from error
        raise
