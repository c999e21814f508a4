"""Count what a bucket contains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rwm.errors import NotSupported
from rwm.model import ObjectVersion
from rwm.s3 import S3
from rwm.s3.listing import list_histories
from rwm.statefile import STATES_PREFIX

Progress = Callable[[int], None]


@dataclass
class StorageInfo:
    """Counts and sizes in bytes of a bucket's contents, RWM's own objects included. ``states`` are state files.

    ``versioning`` is also ``off`` or ``unsupported``; ``unfinished_uploads`` is None where the server lists none.
    """

    bucket: str
    versioning: str
    objects: int = 0
    bytes: int = 0
    noncurrent_versions: int = 0
    noncurrent_bytes: int = 0
    delete_markers: int = 0
    unfinished_uploads: int | None = 0
    states: int = 0


def storage_info(s3: S3, bucket: str, progress: Progress = lambda count: None) -> StorageInfo:
    """Count a bucket's contents in one listing, in constant memory."""
    info = StorageInfo(bucket, versioning_state(s3, bucket))
    for part in list_histories(s3, bucket, own=True):
        for history in part:
            progress(len(history))
            for version in history:
                _count(info, version)
    try:
        info.unfinished_uploads = sum(1 for _ in s3.unfinished_uploads(bucket))
    except NotSupported:
        info.unfinished_uploads = None
    return info


def versioning_state(s3: S3, bucket: str) -> str:
    """``Enabled``, ``Suspended``, ``off``, or ``unsupported`` where the server does not have versioning."""
    try:
        return s3.versioning(bucket) or "off"
    except NotSupported:
        return "unsupported"


def _count(info: StorageInfo, version: ObjectVersion) -> None:
    if version.is_marker:
        info.delete_markers += 1
    elif version.is_latest:
        info.objects += 1
        info.bytes += version.size
        info.states += version.key.startswith(STATES_PREFIX)
    else:
        info.noncurrent_versions += 1
        info.noncurrent_bytes += version.size
