"""Count what a bucket, or a prefix of it, contains."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rwm.errors import AccessDenied, NotSupported
from rwm.layout import STATES_PREFIX, is_own_key
from rwm.location import Location
from rwm.model import ClassCount, ObjectVersion, StorageClasses, VersionBatch
from rwm.names import split_key
from rwm.repositories import RepositoryCount
from rwm.s3 import S3
from rwm.s3.listing import list_by_prefix, list_histories

Progress = Callable[[int], None]


@dataclass
class StorageInfo:
    """Counts and sizes in bytes of what a location contains, RWM's own objects included. ``states`` are state files.

    ``versioning`` is also ``off`` or ``unsupported``; ``unfinished_uploads`` is None where the server lists none, or
    does not list them to this account. ``storage_classes`` counts the versions in other classes than STANDARD,
    noncurrent ones too. ``repositories`` have their current objects; one that was deleted has none.
    """

    bucket: str
    prefix: str
    versioning: str
    objects: int = 0
    bytes: int = 0
    noncurrent_versions: int = 0
    noncurrent_bytes: int = 0
    delete_markers: int = 0
    unfinished_uploads: int | None = 0
    states: int = 0
    storage_classes: dict[str, ClassCount] = field(default_factory=dict)
    repositories: list[RepositoryCount] = field(default_factory=list)

    @property
    def classes(self) -> StorageClasses:
        """The same with what is archived of it, as of now."""
        return StorageClasses(None, self.storage_classes)

    def as_json(self) -> dict[str, Any]:
        """All fields as JSON, and what is archived."""
        classes = {name: count._asdict() for name, count in self.storage_classes.items()}
        repositories = [each._asdict() for each in self.repositories]
        document = {**asdict(self), "storage_classes": classes, "archived": self.classes.archived._asdict()}
        del document["repositories"]
        return document | {"repositories": repositories}


def storage_info(
    s3: S3, location: Location, progress: Progress = lambda count: None, *, roots: Iterable[str] = ()
) -> StorageInfo:
    """Count the contents of a location in one listing, in constant memory.

    ``roots`` are the prefixes of repositories to count by themselves; an object counts for the innermost one above it.
    """
    info = StorageInfo(location.bucket, location.prefix, versioning_state(s3, location.bucket))
    repositories = dict.fromkeys(roots, (0, 0))
    for part in list_histories(s3, location, own=True):
        for history in part:
            progress(len(history))
            for version in history:
                _count(info, version)
            latest = history[0]
            if repositories and not latest.is_marker and (root := _innermost(repositories, latest.key)) is not None:
                objects, size = repositories[root]
                repositories[root] = objects + 1, size + latest.size
    info.repositories = sorted(RepositoryCount(root, *counts) for root, counts in repositories.items())
    try:
        uploads = s3.unfinished_uploads(location.bucket)
        info.unfinished_uploads = sum(1 for key, _, _ in uploads if key.startswith(location.prefix))
    except NotSupported:
        info.unfinished_uploads = None
    except AccessDenied:
        if not location.prefix:
            raise
        info.unfinished_uploads = None
    return info


def _innermost(roots: Container[str], key: str) -> str | None:
    """The innermost of the prefixes that the key is below; None for RWM's own objects, which are of no repository."""
    if is_own_key(key):
        return None
    directory, _ = split_key(key)
    while directory not in roots:
        if not directory:
            return None
        directory, _ = split_key(directory.removesuffix("/"))
    return directory


def versioning_state(s3: S3, bucket: str) -> str:
    """``Enabled``, ``Suspended``, ``off``, or ``unsupported`` where the server does not have versioning."""
    try:
        return s3.versioning(bucket) or "off"
    except NotSupported:
        return "unsupported"


def count_classes(s3: S3, location: Location, progress: Progress = lambda count: None) -> StorageClasses:
    """Count the versions of a location in other storage classes than STANDARD, in one listing, as of now.

    Faster than :func:`storage_info`. Raises NotSupported where the server does not list versions.
    """
    counts: dict[str, ClassCount] = {}

    def read(listed: Iterable[Sequence[ObjectVersion]]) -> Iterator[tuple[int, list[ObjectVersion]]]:
        for versions in listed:
            batch = VersionBatch.of(versions)
            yield len(batch), [version for version in batch if version.storage_class] if batch.storage_classes else []

    for part in list_by_prefix(s3, location, read, own=True, concurrency=None):
        for count, versions in part:
            progress(count)
            for version in versions:
                _count_class(counts, version)
    return StorageClasses(None, counts)


def _count_class(counts: dict[str, ClassCount], version: ObjectVersion) -> None:
    if name := version.storage_class:
        objects, size = counts.get(name, (0, 0))
        counts[name] = ClassCount(objects + 1, size + version.size)


def _count(info: StorageInfo, version: ObjectVersion) -> None:
    _count_class(info.storage_classes, version)
    if version.is_marker:
        info.delete_markers += 1
    elif version.is_latest:
        info.objects += 1
        info.bytes += version.size
        info.states += f"/{STATES_PREFIX}" in f"/{version.key}"
    else:
        info.noncurrent_versions += 1
        info.noncurrent_bytes += version.size
