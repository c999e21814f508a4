"""Check all buckets of an account, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from rwm.errors import S3Error
from rwm.location import Location
from rwm.s3 import S3
from rwm.s3.listing import map_in_threads
from rwm.storage.bucket_lock import BucketLock, read_lock
from rwm.storage.check import Inspection, inspect_storage
from rwm.storage.info import versioning_state

AT_ONCE = 16
"""Buckets that are checked at the same time."""

Progress = Callable[[int], None]


class StorageRow(NamedTuple):
    """One bucket of an account. One that could not be checked has only an ``error``."""

    bucket: str
    versioning: str = ""
    inspection: Inspection | None = None
    lock: BucketLock | None = None
    error: str = ""


def list_storage(s3: S3, buckets: Iterable[str], progress: Progress = lambda count: None) -> list[StorageRow]:
    """Check the buckets, sorted by name. An error of one is in its row and does not hide the others."""
    found = map_in_threads(partial(_check, s3), sorted(buckets), AT_ONCE, progress)
    return [StorageRow(bucket, error=row.message) if isinstance(row, S3Error) else row for bucket, row in found.items()]


def _check(s3: S3, bucket: str) -> StorageRow:
    inspection = inspect_storage(s3, Location(bucket))
    return StorageRow(bucket, versioning_state(s3, bucket), inspection, read_lock(s3, bucket))
