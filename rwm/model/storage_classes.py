"""Storage classes other than STANDARD: which versions and how much are in them, and what is archived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rwm.model.versions import VersionBatch

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read before RestoreObject has retrieved them, as Amazon S3 names them."""


class ListedClasses(NamedTuple):
    """Columns of versions that a listing shows in another storage class than STANDARD, at least one."""

    keys: Sequence[str]
    version_ids: Sequence[str]
    storage_classes: Sequence[str]

    @classmethod
    def of(cls, batch: VersionBatch) -> ListedClasses | None:
        """Those of the batch; None without any, which costs nothing."""
        if batch.storage_classes is None:
            return None
        rows = zip(batch.keys, batch.version_ids, batch.storage_classes, strict=True)
        return cls(*zip(*((key, version_id, name) for key, version_id, name in rows if name), strict=True))


class ClassCount(NamedTuple):
    """How many objects, or object versions, are in a storage class, and their size in bytes."""

    objects: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StorageClasses:
    """What is in storage classes other than STANDARD, by class.

    ``listed_at`` is the server's time of the listing that showed it, None when no listing has shown all of it: then
    there may be more. A lifecycle rule may have moved more since.
    """

    listed_at: int | None
    counts: Mapping[str, ClassCount] = field(default_factory=dict)

    @property
    def archived(self) -> ClassCount:
        """What must be retrieved from the archive before it can be read."""
        found = [count for name, count in self.counts.items() if name in ARCHIVE_CLASSES]
        return ClassCount(sum(count.objects for count in found), sum(count.bytes for count in found))
