"""What RWM itself did to a bucket, as an audit may believe it."""

from __future__ import annotations

from collections.abc import Iterator

from rwm.index import Index
from rwm.location import Location
from rwm.model import OperationChange, OwnChange
from rwm.operations import trusted_changes, trusted_locks, trusted_prunes
from rwm.s3 import S3
from rwm.storage.check import inspect_storage

_HARMLESS = ("frozen", "lifecycle", "location-no-user")
"""Drift that lets no user write a record."""


def own_changes(s3: S3, index: Index, location: Location) -> Iterator[OwnChange]:
    """What RWM did below the location, by the records that can be trusted.

    Those of the bucket count only if its policy is that of a protected bucket, which denies every user to write them.
    """
    return trusted_changes(s3, index, location, lambda: is_protected(s3, location.bucket))


def own_locks(s3: S3, bucket: str) -> Iterator[OperationChange]:
    """The states that RWM locked, by the records in the bucket that can be trusted, the newest first."""
    return trusted_locks(s3, bucket, lambda: is_protected(s3, bucket))


def own_prunes(s3: S3, index: Index, location: Location) -> list[int]:
    """When RWM pruned the location, in milliseconds, oldest first, by the same records."""
    return trusted_prunes(s3, index, location, lambda: is_protected(s3, location.bucket))


def is_protected(s3: S3, bucket: str) -> bool:
    """Whether the policy in force denies every user to write what only the admin may."""
    return all(drift.code in _HARMLESS for drift in inspect_storage(s3, Location(bucket)).drift)
