"""Which operation records count: those of the index always, those of the bucket where no user can have written them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rwm.errors import AccessDenied, BadState, RwmError, SpoolFull, Unreachable
from rwm.index import Index
from rwm.layout import OPERATIONS_PREFIX
from rwm.location import Location
from rwm.model import Operation, OperationChange, OwnChange
from rwm.operations.record_file import OperationRecord, open_record, parse_record_key, record_key, record_time
from rwm.private import temporary_file
from rwm.s3 import S3, CurrentObject

MAX_FILE = 1 << 30
"""Bytes of the largest record that is read: one million copies have 100 MB."""

LOCK_KINDS = ("lock", "state-lock")

_WRITE_NOTHING = ("prune", *LOCK_KINDS)
"""Kinds of operations whose records an audit need not read for changes: what they removed is in no listing."""

MAX_LOCK_RECORDS = 50
"""Records of locks that are read, the newest ones: the last of a daily `rwm lock` names all states that it kept."""

_log = logging.getLogger("rwm.operations")


class RecordFile(NamedTuple):
    """The current version of a record in its bucket. ``owner`` is the account that owns it: on Ceph RGW its writer."""

    key: str
    size: int
    owner: str
    kind: str
    id: str


def list_records(s3: S3, bucket: str) -> list[RecordFile]:
    """All records in the bucket, oldest first. Whether they can be trusted is another question."""
    listed = sorted(s3.current_objects(bucket, OPERATIONS_PREFIX))
    return [RecordFile(*each, *name) for each in listed if (name := parse_record_key(each.key))]


@contextmanager
def open_stored(s3: S3, bucket: str, record: RecordFile) -> Iterator[OperationRecord]:
    """Open a record in its bucket. Raises BadState for a malformed one, and the errors of S3."""
    with _open(s3, bucket, record.key, record.size) as opened:
        if (opened.operation.kind, opened.operation.id) != (record.kind, record.id):
            raise BadState(f"{record.key} is the record of another operation")
        if opened.operation.location.bucket != bucket:
            raise BadState(f"{record.key} is the record of another bucket")
        yield opened


@contextmanager
def _open(s3: S3, bucket: str, key: str, size: int, version_id: str | None = None) -> Iterator[OperationRecord]:
    if size > MAX_FILE:
        raise BadState(f"{key} has {size} bytes: too large for a record")
    with temporary_file() as file:
        for chunk in s3.stream(bucket, key, version_id):
            file.write(chunk)
        file.seek(0)
        yield open_record(file)


@contextmanager
def open_planned(s3: S3, operation: Operation) -> Iterator[OperationRecord | None]:
    """Open the record that was written to the bucket when the operation began; None if it is not there.

    That is the first version of its key, which nobody else can have known before. Raises BadState for a malformed
    record, and the errors of S3.
    """
    bucket, key = operation.location.bucket, record_key(operation)
    versions = [each for each in s3.versions(bucket, key) if each.key == key and not each.is_marker]
    if not versions:
        yield None
        return
    with _open(s3, bucket, key, versions[-1].size, versions[-1].version_id) as record:
        yield record


def planned_digest(s3: S3, operation: Operation) -> str | None:
    """The SHA-256 of the record that was written to the bucket when the operation began; None if it is not there.

    Of its uncompressed content. A prune removes it when the operation has ended. Raises as :func:`open_planned`.
    """
    with open_planned(s3, operation) as record:
        if record is None:
            return None
        for _ in record.changes():
            pass
        return record.sha256 if record.operation.ended_at is None else None


def trusted_changes(s3: S3, index: Index, location: Location, is_protected: Callable[[], bool]) -> Iterator[OwnChange]:
    """What RWM did below the location, by the records of the index, and by those of the bucket if ``is_protected``.

    ``is_protected`` says that the policy in force denies every user to write records; it is asked if there are any. One
    that a user wrote before that is left out where the server tells its writer. A record that cannot be read explains
    nothing.
    """
    yield from index.operations.changes(location)
    known = index.operations.ids(location.bucket)
    for record in trusted_records(s3, location.bucket, is_protected):
        if record.id not in known and record.kind not in _WRITE_NOTHING:
            yield from _changes_below(s3, location, record)


def trusted_records(s3: S3, bucket: str, is_protected: Callable[[], bool]) -> Iterator[RecordFile]:
    """The records in the bucket that no user can have written, oldest first; see :func:`trusted_changes`."""
    keys = {each.key for each in trusted_objects(s3, bucket, OPERATIONS_PREFIX, is_protected)}
    yield from (record for record in list_records(s3, bucket) if record.key in keys) if keys else ()


def trusted_objects(s3: S3, bucket: str, prefix: str, is_protected: Callable[[], bool]) -> list[CurrentObject]:
    """What the plain listing has below a prefix of the admin, and no user can have written; by key."""
    try:
        found = sorted(s3.current_objects(bucket, prefix))
    except AccessDenied:  # a machine with a prefix of its own
        return []
    if not found or not is_protected():
        return []
    owner, _ = s3.acl(bucket)
    return [each for each in found if each.owner == owner]


def trusted_locks(s3: S3, bucket: str, is_protected: Callable[[], bool]) -> Iterator[OperationChange]:
    """The states that RWM locked by the records in the bucket, the newest first; see :func:`trusted_changes`."""
    records = [record for record in trusted_records(s3, bucket, is_protected) if record.kind in LOCK_KINDS]
    for record in reversed(records[-MAX_LOCK_RECORDS:]):
        yield from (change for _, change in _read(s3, bucket, record, lambda change: change.did == "locked"))


def trusted_prunes(s3: S3, index: Index, location: Location, is_protected: Callable[[], bool]) -> list[int]:
    """When `rwm prune` began below or above the location, in milliseconds, oldest first; records as above.

    Of a record in the bucket the name is read only: it may be of another prefix.
    """
    recorded = index.operations.recorded(location.bucket)
    times = [each.at for each in recorded if each.kind == "prune" and each.location.overlaps(location)]
    known = {each.id for each in recorded}
    records = trusted_records(s3, location.bucket, is_protected)
    found = (record_time(record.key) for record in records if record.kind == "prune" and record.id not in known)
    return sorted([*times, *(at for at in found if at is not None)])


def _changes_below(s3: S3, location: Location, record: RecordFile) -> list[OwnChange]:
    """What a record names below the location; nothing if any of it is malformed."""

    def is_meant(change: OperationChange) -> bool:
        return change.did != "deleted" and change.version_id != "" and change.key.startswith(location.prefix)

    return [OwnChange(at, change) for at, change in _read(s3, location.bucket, record, is_meant)]


def _read(
    s3: S3, bucket: str, record: RecordFile, is_meant: Callable[[OperationChange], bool]
) -> list[tuple[int, OperationChange]]:
    """The changes in a record that are meant, each with its time; nothing if any of it is malformed or refused."""
    try:
        with open_stored(s3, bucket, record) as opened:
            return [(opened.operation.at, change) for change in opened.changes() if is_meant(change)]
    except (Unreachable, SpoolFull):  # what it says is not known
        raise
    except RwmError as error:
        _log.warning("operation record %s is ignored: %s", record.key, error.message)
        return []
