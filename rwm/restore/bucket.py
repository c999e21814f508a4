"""Restore a state into another bucket of the same server, by copies on the server."""

from __future__ import annotations

from rwm.errors import Refused, UsageError
from rwm.index import Index
from rwm.location import Location
from rwm.model import Entry, StateInfo
from rwm.restore.transfer import Progress, RestoreResult, transfer_entries
from rwm.s3 import S3
from rwm.s3.listing import list_histories


def restore_to_bucket(
    s3: S3, index: Index, info: StateInfo, target: str, progress: Progress = lambda count: None
) -> RestoreResult:
    """Copy every entry of the state into ``target``, which must be empty; a missing bucket is created (versioned).

    The copies are compared with the state by a listing at the end. Raises Refused for a bucket that is not empty, and
    UsageError for the state's own bucket.
    """
    if target == info.bucket:
        raise UsageError(f"bucket {target} is the state's own", hint="name another bucket")
    if not s3.bucket_exists(target):
        s3.create_bucket(target)
        s3.enable_versioning(target)
    elif next(s3.versions(target, page_size=1), None) is not None:
        raise Refused(f"bucket {target} is not empty", hint="name an empty or a new bucket")
    result = RestoreResult()

    def copy(entry: Entry) -> None:
        s3.copy(info.bucket, entry.key, entry.version_id, target)

    transfer_entries(index.entries(info), copy, result, progress)
    _check_sizes(index, info, _current_sizes(s3, target), result)
    return result


def _current_sizes(s3: S3, bucket: str) -> dict[str, int]:
    """Size in bytes of every current object, by key."""
    return {
        version.key: version.size
        for part in list_histories(s3, Location(bucket))
        for history in part
        for version in history[:1]
        if not version.is_marker
    }


def _check_sizes(index: Index, info: StateInfo, sizes: dict[str, int], result: RestoreResult) -> None:
    """Turn every copy that is missing or has another size into a failure."""
    failed = {key for key, _ in result.failures}
    for entry in index.entries(info):
        if entry.key in failed or sizes.get(entry.key) == entry.size:
            continue
        size = sizes.get(entry.key)
        why = "the copy is missing" if size is None else f"the copy has {size} of {entry.size} bytes"
        result.failures.append((entry.key, why))
        result.objects -= 1
        result.bytes -= entry.size
