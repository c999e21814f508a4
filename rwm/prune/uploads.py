"""Unfinished multipart uploads, which cost storage like objects: list those that are old, and abort them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rwm.errors import AccessDenied, NotFound, NotSupported, S3Error
from rwm.location import Location
from rwm.s3 import S3
from rwm.times import DAY

MIN_AGE = DAY
"""A younger upload may still be running, whatever the minimum age of a prune is."""


@dataclass
class AbortResult:
    """Numbers of uploads that were aborted, and that the server did not abort."""

    aborted: int = 0
    failed: int = 0


def upload_cutoff(now: int, cutoff: int) -> int:
    """The time before which an upload must have begun to be aborted: that of a prune, or a day ago. Milliseconds."""
    return min(cutoff, now - MIN_AGE)


def count_old_uploads(s3: S3, location: Location, cutoff: int) -> int:
    """How many uploads below the location began before ``cutoff``; 0 where this account cannot list them."""
    return sum(1 for _ in _old_uploads(s3, location, cutoff))


def abort_old_uploads(s3: S3, location: Location, cutoff: int) -> AbortResult:
    """Abort the uploads below the location that began before ``cutoff``, those that RWM itself has left too."""
    result = AbortResult()
    for key, upload_id in _old_uploads(s3, location, cutoff):
        try:
            s3.abort_upload(location.bucket, key, upload_id)
        except NotFound:
            continue  # completed or aborted meanwhile
        except S3Error:
            result.failed += 1
        else:
            result.aborted += 1
    return result


def _old_uploads(s3: S3, location: Location, cutoff: int) -> Iterator[tuple[str, str]]:
    try:
        for key, upload_id, started in s3.unfinished_uploads(location.bucket):
            if started < cutoff and key.startswith(location.prefix):
                yield key, upload_id
    except (AccessDenied, NotSupported):
        return
