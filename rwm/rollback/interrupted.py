"""Complete the record of an operation that was killed: what it did last was not recorded any more.

A listing shows what was done of the plan in the operation's record. Without this an audit would take the last delete
markers and copies for an attack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion, Operation, OperationChange
from rwm.operations import OperationLog, OperationRecord, open_planned, resume_operation
from rwm.rollback.key_plan import as_entry, is_same_content
from rwm.rollback.sorted_listing import Progress, group_changes, join, list_sorted, sort_by_key
from rwm.rollback.undo import KINDS
from rwm.s3 import COPY_LIMIT, S3

_BATCH = 1000  # changes that are recorded at once


def complete_interrupted(
    s3: S3, index: Index, location: Location, progress: Progress = lambda count: None
) -> list[Operation]:
    """Complete the records of interrupted operations that overlap the location; returns these operations.

    Each costs a listing of its location. Raises the errors of S3 and of the index, and BadState for a damaged record.
    """
    open_ones = [
        operation
        for operation in index.operations.recorded(location.bucket)
        if operation.ended_at is None and operation.kind in KINDS and operation.location.overlaps(location)
    ]
    if not open_ones:
        return []
    for operation in open_ones:
        with resume_operation(s3, index, operation) as log, open_planned(s3, operation) as record:
            if record is not None:  # else it was killed before it had a record, so it changed nothing
                _complete(s3, index, record, log, progress)
    return open_ones


def _complete(s3: S3, index: Index, record: OperationRecord, log: OperationLog, progress: Progress) -> None:
    """Record what a listing shows of the plan and the index does not have, and abort uploads of copies in parts."""
    operation = record.operation
    known = {
        (change.did, change.key, change.version_id if change.did == "unmarked" else "")
        for _, change in index.operations.changes(operation.location, operation.id)
    }
    large = set()

    def left() -> Iterator[OperationChange]:
        for change in record.changes():
            if change.did == "copied" and change.size > COPY_LIMIT:
                large.add(change.key)
            if (change.did, change.key, change.version_id) not in known:
                yield change

    record_made(s3, operation.location, left(), log, progress)
    s3.abort_own_uploads(operation.location.bucket, large, operation.at)


def record_made(
    s3: S3,
    location: Location,
    planned: Iterable[OperationChange],
    log: OperationLog,
    progress: Progress = lambda count: None,
) -> None:
    """Record those of the planned changes that a listing shows, with the ids of what was written."""
    with sort_by_key(group_changes(planned)) as changes, list_sorted(s3, location, progress) as listed:
        made = (
            change
            for _, fields, history in join(changes, listed)
            for each in fields or ()
            for change in find_made(history, OperationChange(*each), log.operation.at)
        )
        while done := list(islice(made, _BATCH)):
            log.add(done)


def find_made(history: Sequence[ObjectVersion], planned: OperationChange, at: int) -> list[OperationChange]:
    """The planned change as it was made, with its version id. ``at`` is the operation's start.

    More than one if somebody else wrote the same meanwhile: which is ours, no listing tells.
    """
    if planned.did == "unmarked":
        gone = all(entry.version_id != planned.version_id for entry in history)
        return [planned] if gone and history else []
    position = next((n for n, entry in enumerate(history) if entry.version_id == planned.before), 0)
    source = next((entry for entry in history if entry.version_id == planned.source), None)
    return [
        planned._replace(version_id=entry.version_id)
        for entry in history[:position]
        if entry.last_modified >= at and _is_as_planned(entry, planned, source)
    ]


def _is_as_planned(entry: ObjectVersion, planned: OperationChange, source: ObjectVersion | None) -> bool:
    if planned.did == "marked":
        return entry.is_marker
    return source is not None and not entry.is_marker and is_same_content(entry, as_entry(source))
