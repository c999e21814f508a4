"""Object Lock of a bucket: its default retention, and the locks of its versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple

from rwm.errors import AccessDenied, NotFound, NotSupported, Refused, S3Error
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.phrases import format_count
from rwm.s3 import S3, DefaultRetention, VersionLock
from rwm.s3.listing import list_histories, map_in_threads
from rwm.times import DAY

UNSUPPORTED = "the server does not have Object Lock: whoever has the admin's keys can delete every version"

AT_ONCE = 16
"""Versions that are asked for at the same time."""
_BATCH = 1000

Progress = Callable[[int], None]


class BucketLock(NamedTuple):
    """Object Lock of a bucket, and the retention that new versions get."""

    status: Literal["enabled", "off", "unsupported", "unreadable"]
    default: DefaultRetention | None = None

    def __str__(self) -> str:
        """The lock in words."""
        if self.status == "unsupported":
            return UNSUPPORTED
        if self.status == "unreadable":
            return "unknown: this account may not read it"
        if self.default is None:
            return "enabled, without a default retention" if self.status == "enabled" else "off"
        return describe_default(self.default)

    def as_json(self) -> dict[str, Any]:
        """The fields for scripts."""
        mode, days = (self.default.mode, self.default.duration // DAY) if self.default else (None, None)
        return {"status": self.status, "mode": mode, "days": days}


class LockedVersions(NamedTuple):
    """How many versions are locked, until when at most (0: no retention), and how many have a legal hold."""

    locked: int
    until: int
    held: int


def describe_default(default: DefaultRetention) -> str:
    """A default retention in words."""
    return f"{default.mode}, {format_count(default.duration // DAY, 'day')}"


def read_lock(s3: S3, bucket: str) -> BucketLock:
    """Object Lock of the bucket, also where it cannot be read. Raises NotFound for an unknown bucket."""
    try:
        return BucketLock("enabled", s3.default_retention(bucket))
    except NotSupported:
        return BucketLock("unsupported")
    except AccessDenied:
        return BucketLock("unreadable")
    except NotFound as error:
        if error.code == "NoSuchBucket":
            raise
        return BucketLock("off")


def set_default(s3: S3, bucket: str, default: DefaultRetention) -> None:
    """Give the bucket a default retention, and read it back. Raises Refused where that is not possible."""
    try:
        s3.put_default_retention(bucket, default)
        lock = read_lock(s3, bucket)
    except S3Error as error:
        if isinstance(error, NotSupported) or error.code in ("InvalidBucketState", "InvalidRequest"):
            raise _refused(s3, bucket, error.message) from error
        raise
    if lock.default != default:
        raise _refused(s3, bucket, f"bucket {bucket}: the default retention is {lock}")


def _refused(s3: S3, bucket: str, reason: str) -> Refused:
    status = read_lock(s3, bucket).status
    consequence = UNSUPPORTED if status == "unsupported" else "whoever has the admin's keys can delete every version"
    hint = (
        "without --lock, the policy protects against the machine alone"
        if status == "unsupported"
        else "Ceph RGW has Object Lock only in a bucket that was created with it: create another bucket"
    )
    return Refused(f"--lock is not possible ({reason}): {consequence}", hint=hint)


def find_locked(s3: S3, location: Location, progress: Progress = lambda count: None) -> LockedVersions:
    """Ask for the lock of every version below the location; nothing is asked in a bucket without Object Lock."""
    locked = until = held = 0
    if read_lock(s3, location.bucket).status != "enabled":
        return LockedVersions(0, 0, 0)
    now = s3.server_time(location.bucket)
    versions = _versions(s3, location)
    while batch := list(islice(versions, _BATCH)):
        for lock in map_in_threads(partial(_lock, s3, location.bucket), batch, AT_ONCE, progress).values():
            if isinstance(lock, S3Error):
                if isinstance(lock, NotFound):  # deleted meanwhile
                    continue
                raise lock
            held += lock.is_held
            locked += lock.until > now
            until = max(until, lock.until)
    return LockedVersions(locked, until if locked else 0, held)


def _versions(s3: S3, location: Location) -> Iterator[ObjectVersion]:
    for part in list_histories(s3, location, own=True):
        for history in part:
            yield from (entry for entry in history if not entry.is_marker)


def _lock(s3: S3, bucket: str, entry: ObjectVersion) -> VersionLock:
    return s3.version_lock(bucket, entry.key, entry.version_id)
