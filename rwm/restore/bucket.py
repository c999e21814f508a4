"""Restore a state to another location on the same server, by copies on the server."""

from __future__ import annotations

from rwm.errors import Refused, RwmError, UsageError
from rwm.layout import is_own_key
from rwm.location import Location
from rwm.model import Entry
from rwm.restore.part import StatePart
from rwm.restore.transfer import Progress, RestoreResult, transfer_entries
from rwm.s3 import S3
from rwm.s3.listing import enclosing_repository, list_histories


def restore_to_bucket(
    s3: S3, part: StatePart, target: Location, progress: Progress = lambda count: None
) -> RestoreResult:
    """Copy every entry of the part to ``target``, which must be empty; a missing bucket is created (versioned).

    The copies are compared with the state by a listing at the end. Raises Refused for a target that is not empty, and
    UsageError for one that overlaps what is restored or is a directory in a repository.
    """
    _check_apart(part.location, target)
    if not s3.bucket_exists(target.bucket):
        s3.create_bucket(target.bucket)
        s3.enable_versioning(target.bucket)
    else:
        _check_not_in_repository(s3, target)
        _check_empty(s3, target)
    result = RestoreResult()

    def copy(entry: Entry) -> None:
        key = target.key(part.relative(entry.key))
        if is_own_key(key):
            raise RwmError(f"its key would be {key}, where RWM keeps its own objects")
        s3.copy(part.info.bucket, entry.key, entry.version_id, target.bucket, key)

    transfer_entries(part.entries(), copy, result, progress)
    _check_sizes(part, target, _current_sizes(s3, target), result)
    return result


def _check_apart(source: Location, target: Location) -> None:
    if target.overlaps(source):
        what = "the state's own" if target == source else f"{'above' if target.covers(source) else 'inside'} {source}"
        raise UsageError(f"{target.described} is {what}", hint="name another bucket, or a location apart from it")


def _check_not_in_repository(s3: S3, target: Location) -> None:
    if repository := enclosing_repository(s3, target):
        raise UsageError(
            f"{target} is a directory of the repository at {repository}, not a place for one",
            hint="name a location apart from it",
        )


def _check_empty(s3: S3, target: Location) -> None:
    if next(s3.versions(target.bucket, target.prefix, page_size=1), None) is None:
        return
    raise Refused(f"{target.described} is not empty", hint="name an empty or a new bucket, or a prefix of its own")


def _current_sizes(s3: S3, target: Location) -> dict[str, int]:
    """Size in bytes of every current object, by key."""
    return {
        version.key: version.size
        for part in list_histories(s3, target)
        for history in part
        for version in history[:1]
        if not version.is_marker
    }


def _check_sizes(part: StatePart, target: Location, sizes: dict[str, int], result: RestoreResult) -> None:
    """Turn every copy that is missing or has another size into a failure."""
    failed = {key for key, _ in result.failures}
    for entry in part.entries():
        size = sizes.get(target.key(part.relative(entry.key)))
        if entry.key in failed or size == entry.size:
            continue
        why = "the copy is missing" if size is None else f"the copy has {size} of {entry.size} bytes"
        result.failures.append((entry.key, why))
        result.objects -= 1
        result.bytes -= entry.size
