"""Execute a prune plan and keep a report of it: in the index, and in the bucket for other computers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rwm.index import Index
from rwm.model import OperationChange, PrunedState, PruneReport
from rwm.operations import begin_operation, new_operation
from rwm.prune.execute import Progress, PruneResult, prune_and_forget
from rwm.prune.plan import PrunePlan
from rwm.prune.report_files import put_lines, put_report
from rwm.prune.uploads import AbortResult, abort_old_uploads, upload_cutoff
from rwm.s3 import S3

LOCKED = "locked"
"""Stands in a report for the error code of versions that were not deleted because they are locked."""


@dataclass(frozen=True)
class RecordedPrune:
    """What a prune did. ``report`` is kept."""

    result: PruneResult
    uploads: AbortResult
    report: PruneReport


def prune_and_record(
    s3: S3,
    index: Index,
    plan: PrunePlan,
    progress: Progress = lambda count: None,
    *,
    force: bool = False,
) -> RecordedPrune:
    """Execute the plan, then abort old uploads. The prune is recorded before the first deletion and at its end.

    One that has nothing to delete is not recorded. States that an interrupted prune ended leave the index too. Raises
    the errors of the index and of S3.
    """
    operation = new_operation(s3, "prune", plan.location, _describe(plan))
    report = PruneReport(
        operation.id,
        plan.location,
        operation.at,
        plan.cutoff,
        tuple(info.id for info in plan.kept_states),
        tuple(PrunedState(info.id, info.captured_at, operation.at) for info in plan.lost_states),
        plan.findings if force else (),
    )
    _forget_interrupted(index, plan)
    if not (plan.versions or plan.markers or plan.uploads):
        return RecordedPrune(PruneResult(), AbortResult(), report)
    with begin_operation(s3, index, operation) as log:
        put_lines(s3, report, plan.deletions)
        index.prunes.begin(report)
        put_report(s3, report)
        result = prune_and_forget(s3, index, plan, progress)
        uploads = AbortResult()
        if plan.uploads:
            uploads = abort_old_uploads(s3, plan.location, upload_cutoff(plan.made_at, plan.cutoff))
        report = report._replace(
            ended_at=s3.server_time(plan.location.bucket),
            versions=result.versions,
            markers=result.markers,
            bytes=result.bytes,
            removed=dict(result.removed),
            failures=_count_failures(result),
            left=result.left,
            uploads=uploads.aborted,
        )
        index.prunes.end(report)
        put_report(s3, report)
        log.add(_left(result))
    return RecordedPrune(result, uploads, report)


def _describe(plan: PrunePlan) -> str:
    """The note of the operation record, for other computers."""
    kept = ", ".join(info.short for info in plan.kept_states[-10:])
    return (
        f"plan: {len(plan.versions)} versions with {plan.bytes} bytes, {len(plan.markers)} markers, "
        f"{len(plan.lost_states)} states; {len(plan.kept_states)} kept states, the newest: {kept}"
    )


def _left(result: PruneResult) -> list[OperationChange]:
    """What was not deleted, for the operation record."""
    failed = [OperationChange("left", each.key, each.version_id, why=each.code) for each in result.failures]
    return failed + [OperationChange("left", *version, why=LOCKED) for version in result.locked]


def _count_failures(result: PruneResult) -> dict[str, int]:
    counts = Counter(failure.code for failure in result.failures)
    return dict(counts) | ({LOCKED: len(result.locked)} if result.locked else {})


def _forget_interrupted(index: Index, plan: PrunePlan) -> None:
    """Forget the states of which a prune that was killed has deleted versions."""
    reports = (report for report in index.prunes.recorded(plan.location) if report.ended_at is None)
    ended = {state.id for report in reports for state in report.lost_states}
    index.forget(info for info in plan.lost_states if info.id in ended)
