"""The operation records in a bucket: list and open them. Whether they can be trusted is another question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rwm.errors import BadState
from rwm.layout import OPERATIONS_PREFIX
from rwm.model import Operation
from rwm.operations.record_file import OperationRecord, open_record, parse_record_key, record_key
from rwm.private import temporary_file
from rwm.s3 import S3

MAX_FILE = 1 << 30
"""Bytes of the largest record that is read: one million copies have 100 MB."""


class RecordFile(NamedTuple):
    """The current version of a record in its bucket. ``owner`` is the account that owns it: on Ceph RGW its writer."""

    key: str
    size: int
    owner: str
    kind: str
    id: str


def list_records(s3: S3, bucket: str) -> list[RecordFile]:
    """All records in the bucket, oldest first."""
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
