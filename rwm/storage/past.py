"""What a bucket that becomes a protected one holds, and what cannot be known about its past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.names import split_key
from rwm.s3 import S3
from rwm.s3.listing import list_histories

NULL = "null"
"""The version id of what was written without versioning."""

NAMED = 100
"""Keys of large objects that are named; of more, only the number."""

Progress = Callable[[int], None]


@dataclass
class Past:
    """What a bucket holds. ``versioning`` is also ``off`` or ``unsupported``.

    ``null`` counts current objects with the version id ``null``, ``small`` those of them that can be pinned: up to
    ``limit`` bytes, and no lock. ``large_keys`` are the first that are too large.
    """

    versioning: str
    limit: int
    objects: int = 0
    bytes: int = 0
    noncurrent_versions: int = 0
    delete_markers: int = 0
    null: int = 0
    null_bytes: int = 0
    small: int = 0
    small_bytes: int = 0
    large: int = 0
    large_bytes: int = 0
    large_keys: list[str] = field(default_factory=list)


def read_past(s3: S3, bucket: str, versioning: str, limit: int, progress: Progress = lambda count: None) -> Past:
    """Count what the bucket holds beside RWM's own objects, in one listing and constant memory."""
    past = Past(versioning, limit)
    for history in _histories(s3, bucket):
        progress(len(history))
        latest = history[0]
        past.delete_markers += sum(entry.is_marker for entry in history)
        past.noncurrent_versions += sum(not entry.is_marker for entry in history[1:])
        if latest.is_marker:
            continue
        past.objects += 1
        past.bytes += latest.size
        if latest.version_id == NULL:
            _count_null(past, latest)
    return past


def unpinned(s3: S3, bucket: str, limit: int) -> Iterator[list[ObjectVersion]]:
    """The histories of keys whose current object can be pinned, or may be the pin of an interrupted run."""
    for history in _histories(s3, bucket):
        if (
            not history[0].is_marker
            and _can_be_pinned(history[0], limit)
            and NULL in (entry.version_id for entry in history[:2])
        ):
            yield history


def _histories(s3: S3, bucket: str) -> Iterator[list[ObjectVersion]]:
    for part in list_histories(s3, Location(bucket)):
        yield from part


def _count_null(past: Past, entry: ObjectVersion) -> None:
    past.null += 1
    past.null_bytes += entry.size
    if _can_be_pinned(entry, past.limit):
        past.small += 1
        past.small_bytes += entry.size
    elif entry.size > past.limit:
        past.large += 1
        past.large_bytes += entry.size
        if len(past.large_keys) < NAMED:
            past.large_keys.append(entry.key)


def _can_be_pinned(entry: ObjectVersion, limit: int) -> bool:
    """Locks come and go."""
    directory, _ = split_key(entry.key)
    return entry.size <= limit and not f"/{directory}".endswith("/locks/")


def describe_unknown(past: Past) -> list[str]:
    """What cannot be known about the past, for people. Pure."""
    lines = {
        "Enabled": ["versions may have been deleted until now: nothing tells which"],
        "Suspended": ["versioning was suspended: what was overwritten or deleted since then is gone, and unknown"],
    }.get(past.versioning, ["there was no versioning: what was overwritten or deleted until now is gone, and unknown"])
    if past.null:
        lines.append(
            f"{past.null} of {past.objects} objects have no version id of their own (null): what they replaced, and "
            "when they were first written, is unknown"
        )
        lines.append(
            "a null version is lost if versioning is suspended again and its key is written, a pinned one is kept"
        )
    lines.append("whether what is there now is whole (restic check and rwm state verify tell)")
    return lines
