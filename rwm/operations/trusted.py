"""Which operation records count: those of the index always, those of the bucket where no user can have written them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rwm.errors import BadState, RwmError
from rwm.index import Index
from rwm.layout import OPERATIONS_PREFIX
from rwm.location import Location
from rwm.model import ObjectVersion, OperationChange
from rwm.operations.record_file import OperationRecord, open_record, parse_record_key
from rwm.s3 import S3

MAX_FILE = 1 << 30
"""Bytes of the largest record that an audit reads: one million copies have 100 MB."""

_log = logging.getLogger("rwm.operations")


class RecordFile(NamedTuple):
    """The file of a record in its bucket, with its versions, newest first."""

    key: str
    kind: str
    id: str
    versions: tuple[ObjectVersion, ...]


def list_records(s3: S3, bucket: str) -> list[RecordFile]:
    """All records in the bucket, oldest first. Whether they can be trusted is another question."""
    found: dict[str, list[ObjectVersion]] = {}
    for version in s3.versions(bucket, OPERATIONS_PREFIX):
        if not version.is_marker and version.version_id != "null":
            found.setdefault(version.key, []).append(version)
    return [
        RecordFile(key, *name, tuple(versions))
        for key, versions in sorted(found.items())
        if (name := parse_record_key(key))
    ]


@contextmanager
def open_stored(s3: S3, bucket: str, version: ObjectVersion) -> Iterator[OperationRecord]:
    """Open one version of a record. Raises BadState for a malformed one, and the errors of S3."""
    if version.size > MAX_FILE:
        raise BadState(f"{version.key} has {version.size} bytes: too large for a record")
    with tempfile.TemporaryFile(prefix="rwm-operation-") as file:
        for chunk in s3.stream(bucket, version.key, version.version_id):
            file.write(chunk)
        file.seek(0)
        record = open_record(file)
        if parse_record_key(version.key) != (record.operation.kind, record.operation.id):
            raise BadState(f"{version.key} is the record of another operation")
        if record.operation.location.bucket != bucket:
            raise BadState(f"{version.key} is the record of another bucket")
        yield record


def trusted_changes(s3: S3, index: Index, location: Location, *, is_protected: bool) -> Iterator[OperationChange]:
    """What RWM did below the location, by the records of the index, and by those of the bucket if ``is_protected``.

    ``is_protected`` says that the policy in force denies every user to write records. One that was written before that
    is left out where the server tells that a user wrote it. A record that cannot be read explains nothing.
    """
    yield from index.operations.changes(location)
    if not is_protected:
        return
    owner, _ = s3.acl(location.bucket)
    known = index.operations.ids(location.bucket)
    for record in list_records(s3, location.bucket):
        if record.id in known:
            continue
        for version in record.versions:
            if s3.version_owner(location.bucket, record.key, version.version_id) == owner:
                yield from _changes_below(s3, location, version)
                break


def _changes_below(s3: S3, location: Location, version: ObjectVersion) -> Iterator[OperationChange]:
    try:
        with open_stored(s3, location.bucket, version) as record:
            # All of it first: of a file that turns out to be malformed, nothing counts.
            found = [each for each in record.changes() if each.did != "deleted" and each.version_id]
    except RwmError as error:
        _log.warning("operation record %s is ignored: %s", version.key, error.message)
        return
    yield from (each for each in found if each.key.startswith(location.prefix))
