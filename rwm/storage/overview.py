"""Check all buckets of an account in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from rwm.errors import RwmError
from rwm.location import Location
from rwm.s3 import S3
from rwm.storage.check import Inspection, inspect_storage
from rwm.storage.info import versioning_state

THREADS = 8
"""Buckets that are checked at the same time; within the connections of one client."""

Progress = Callable[[int], None]


class StorageRow(NamedTuple):
    """One bucket of the account; if it could not be checked, only ``error``."""

    bucket: str
    versioning: str = ""
    inspection: Inspection | None = None
    error: str = ""


def list_storage(s3: S3, buckets: Iterable[str], progress: Progress = lambda count: None) -> list[StorageRow]:
    """Check the buckets, sorted by name. A bucket that cannot be reached or read does not end the others."""

    def check(bucket: str) -> StorageRow:
        try:
            row = StorageRow(bucket, versioning_state(s3, bucket), inspect_storage(s3, Location(bucket)))
        except RwmError as error:
            row = StorageRow(bucket, error=error.message)
        progress(1)
        return row

    with ThreadPoolExecutor(THREADS, thread_name_prefix="storage-list") as pool:
        return list(pool.map(check, sorted(buckets)))
