"""Execute a lock plan, and keep a record for other computers in the bucket: which states are locked until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rwm.index import Index
from rwm.lock.execute import LockResult, set_locks, set_own_locks
from rwm.lock.own_files import plan_record_lock
from rwm.lock.plan import DueLock, LockPlan
from rwm.model import OperationChange
from rwm.operations import LOCK_KINDS, begin_operation, new_operation
from rwm.s3 import S3
from rwm.statefile import delta_key, file_key
from rwm.times import SECOND


def lock_and_record(
    s3: S3,
    index: Index,
    plan: LockPlan,
    own: Sequence[DueLock],
    planned: int,
    progress: Callable[[int], None] = lambda count: None,
    *,
    is_one_state: bool = False,
) -> LockResult:
    """Set the locks of a plan, and those of RWM's own files. ``planned`` requests are expected; no record if none is.

    ``index`` is another connection than the plan's. Raises the errors of the index and of S3.
    """
    if not planned and not own:
        return LockResult()
    kind = LOCK_KINDS[is_one_state]
    note = f"plan: {planned} versions and {len(own)} own files of {len(plan.kept_until)} states, mode {plan.mode}"
    operation = new_operation(s3, kind, plan.location, note)
    with begin_operation(s3, index, operation, _locked_states(plan, is_done=False)) as log:
        result = set_locks(s3, index, plan, progress)
        if not result.is_denied:
            set_own_locks(s3, index, plan, own, result, progress)
        log.add(list(_locked_states(plan, is_done=not result.failed)))
    if not result.is_denied:
        set_own_locks(s3, index, plan, plan_record_lock(s3, index, plan), LockResult())
    return result


def _locked_states(plan: LockPlan, *, is_done: bool) -> Iterator[OperationChange]:
    latest = plan.timing.step + plan.timing.every + SECOND  # by which a lock ends later than its version is needed
    for info in plan.states:
        until = plan.kept_until[info.id]
        key = delta_key(info) if plan.is_delta(info) else file_key(info)
        at = until // SECOND * SECOND if is_done else 0
        yield OperationChange("locked", key, "", at=at, why=plan.mode, until=(until + latest) // SECOND * SECOND)
