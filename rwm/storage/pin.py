"""Pin ``null`` versions: copy small ones in place, so that the current object has a version id of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from rwm.errors import S3Error
from rwm.model import ObjectVersion, OperationChange
from rwm.operations import OperationLog
from rwm.s3 import S3
from rwm.s3.listing import map_in_threads
from rwm.storage.past import NULL, unpinned

AT_ONCE = 16
"""Copies that run at the same time."""
_BATCH = 200
"""Copies between two writes of the record."""
_NEWER = 10
"""Entries of a key that are looked at after its copy."""

Progress = Callable[[int], None]


class Pinned(NamedTuple):
    """What was copied; ``failed`` are keys and why."""

    objects: int
    bytes: int
    failed: list[tuple[str, str]]


def pin_small(
    s3: S3, bucket: str, limit: int, log: OperationLog, *, resumed: bool, progress: Progress = lambda count: None
) -> Pinned:
    """Copy every current ``null`` version up to ``limit`` bytes in place, and record each copy.

    A key that somebody writes meanwhile keeps what was written. ``resumed``: an earlier run was interrupted, and copies
    that it did not record are recorded now.
    """
    objects = size = 0
    failed: list[tuple[str, str]] = []
    owner = s3.owner_id()
    histories = unpinned(s3, bucket, limit)
    while batch := list(islice(histories, _BATCH)):
        plain = {history[0].key: history[0] for history in batch if history[0].version_id == NULL}
        results = map_in_threads(partial(_pin, s3, bucket), plain.values(), AT_ONCE, progress)
        changes = []
        for entry, result in results.items():
            if isinstance(result, S3Error):
                failed.append((entry.key, result.why))
            elif result is not None:
                changes.append(result)
                size += entry.size
        if resumed:
            changes += [copy for history in batch if (copy := _unrecorded(s3, bucket, history, owner))]
        objects += len(changes)
        log.add(changes)
    return Pinned(objects, size, failed)


def _pin(s3: S3, bucket: str, entry: ObjectVersion) -> OperationChange | None:
    """Copy one version. None if the key was written meanwhile: a copy that hides what was written is removed."""
    s3.copy(bucket, entry.key, NULL, bucket, size=entry.size)
    newer = list(_newer(s3, bucket, entry))
    copies = [other for other in newer if _is_copy(other, entry)]
    if not copies:
        return None
    if len(newer) > 1 and newer[0] in copies:
        failures = s3.delete_versions(bucket, [(entry.key, newer[0].version_id)])
        if failures:
            raise S3Error(f"{entry.key}: the copy {newer[0].version_id} hides what was written meanwhile")
        return None
    return OperationChange("copied", entry.key, copies[-1].version_id, source=NULL, before=NULL)


def writer(s3: S3, bucket: str, key: str) -> str:
    """The account that owns a current object: on Ceph RGW its writer. Empty if the server does not tell."""
    return next((each.owner for each in islice(s3.current_objects(bucket, key), 1) if each.key == key), "")


def _newer(s3: S3, bucket: str, entry: ObjectVersion) -> Iterator[ObjectVersion]:
    """The entries of the key that are newer than its null version."""
    for other in islice(s3.versions(bucket, entry.key, page_size=_NEWER), _NEWER):
        if other.key == entry.key:
            if other.version_id == NULL:
                return
            yield other


def _is_copy(entry: ObjectVersion, source: ObjectVersion) -> bool:
    return not entry.is_marker and (entry.etag, entry.size) == (source.etag, source.size)


def _unrecorded(s3: S3, bucket: str, history: Sequence[ObjectVersion], owner: str) -> OperationChange | None:
    """The copy of an interrupted run, which the admin wrote and no record names."""
    latest = history[0]
    if latest.version_id == NULL or not _is_copy(latest, history[1]):
        return None
    if writer(s3, bucket, latest.key) != owner:
        return None
    return OperationChange("copied", latest.key, latest.version_id, source=NULL, before=NULL)
