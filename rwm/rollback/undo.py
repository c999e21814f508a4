"""The way back from a roll back: a private file that says what was current before each change.

It is written before anything changes, and is the same as the record in the bucket (:mod:`rwm.operations`). What was
never done of it, after an interruption, needs no undo; what somebody else has written since is left alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from rwm.errors import BadState, Refused, UsageError
from rwm.index import Index
from rwm.model import Operation, OperationChange
from rwm.operations import OperationRecord, open_record, planned_digest, record_key, record_lines
from rwm.private import make_private_directory
from rwm.rollback.key_plan import plan_undo_key
from rwm.rollback.plan import RollbackPlan, own_copies
from rwm.rollback.sorted_listing import Progress, Watch, group_changes, join, list_sorted, sort_by_key, unwatched
from rwm.s3 import S3
from rwm.statefile import gzip_writer
from rwm.times import iso

UNDO = "undo"
"""The kind of the operation, and the directory of undo files, beside the index."""

KINDS = ("roll-back", "undelete", UNDO)
"""The operations that can be undone."""


def undo_path(index: Path, operation: Operation) -> Path:
    """Where the undo file of an operation is by default."""
    return index.parent / UNDO / f"{iso(operation.at)}-{operation.kind}-{operation.id}.jsonl.gz"


def write_undo_file(path: Path, operation: Operation, plan: RollbackPlan) -> None:
    """Write the file, readable by nobody else, and make sure that it is on the disk: whole, or not at all.

    Raises UsageError.
    """
    make_private_directory(path.parent, hint="name another file with --undo-file")
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(number, "wb") as file:
            with gzip_writer(file) as out:
                for piece in record_lines(operation, plan.spool):
                    out.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"undo file {path}: {error.strerror}", hint="name another file with --undo-file")


def open_undo_file(path: Path) -> tuple[IO[bytes], OperationRecord]:
    """The open file, to be closed, and its record. Raises UsageError and BadState."""
    try:
        file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise UsageError(f"undo file {path}: {error.strerror}") from error
    try:
        return file, open_record(file)
    except BadState as error:
        file.close()
        raise BadState(f"undo file {path}: {error.message}") from error


def _open_without_waiting(path: str, flags: int) -> int:
    """A FIFO would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def check_undo_file(s3: S3, path: Path) -> Operation:
    """Read the whole file, and compare it with the record in the bucket, which no machine can write.

    Returns its operation. Raises UsageError and BadState for a file that cannot be read or is malformed, Refused for
    one that was edited, or of which the bucket has no record.
    """
    opened, record = open_undo_file(path)
    operation = record.operation
    with opened:
        try:
            for _ in record.changes():
                pass
        except BadState as error:
            raise BadState(f"undo file {path}: {error.message}") from error
    if operation.kind not in KINDS:
        raise Refused(f"undo file {path}: a {operation.kind} cannot be undone")
    recorded = planned_digest(s3, operation)
    if recorded == record.sha256:
        return operation
    what = f"differs from {record_key(operation)}" if recorded else "is of an operation whose begin is not recorded"
    raise Refused(
        f"undo file {path} {what} in bucket {operation.location.bucket}",
        hint="it may be forged or of another server, or a prune removed the record; --force uses it all the same",
    )


def plan_undo(
    s3: S3,
    index: Index,
    record: OperationRecord,
    progress: Progress = lambda count: None,
    watch: Watch = unwatched,
) -> RollbackPlan:
    """List the location of an operation and plan what undoes it. Raises as :func:`rwm.rollback.plan_rollback`."""
    operation = record.operation
    plan = RollbackPlan(operation.location, UNDO, f"{operation.kind} {operation.id}")
    is_copy_of = own_copies(index, operation.location)
    with (
        plan.being_made(),
        sort_by_key(group_changes(record.changes())) as changes,
        list_sorted(s3, operation.location, progress) as listed,
    ):
        for key, fields, history in join(changes, watch(listed)):
            if fields is not None:
                made = [OperationChange(*each) for each in fields]
                plan.add(key, plan_undo_key(history, made, is_copy_of))
    return plan
