"""Which operation records count: those of the index always, those of the bucket where no user can have written them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from rwm.errors import AccessDenied, RwmError, SpoolFull, Unreachable
from rwm.index import Index
from rwm.layout import OPERATIONS_PREFIX
from rwm.location import Location
from rwm.model import OperationChange, OwnChange
from rwm.operations.record_file import record_time
from rwm.operations.stored import RecordFile, list_records, open_stored
from rwm.s3 import S3, CurrentObject

LOCK_KINDS = ("lock", "state-lock")

_WRITE_NOTHING = ("prune", *LOCK_KINDS)
"""Kinds of operations whose records an audit need not read for changes: what they removed is in no listing."""

MAX_LOCK_RECORDS = 50
"""Records of locks that are read, the newest ones: the last of a daily `rwm lock` names all states that it kept."""

_log = logging.getLogger("rwm.operations")


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
        _log.warning("operation record %s is ignored: %s", record.key, error.why)
        return []
