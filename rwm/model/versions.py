"""A bucket's version listing: its entries, one by one and as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import NamedTuple, overload


class ObjectVersion(NamedTuple):
    """One entry of a bucket's version listing: an object version or a delete marker.

    ``version_id`` is ``"null"`` for an object written without versioning. ``etag`` is without quotes. A delete marker
    has size 0 and an empty ``etag``. ``storage_class`` is None for STANDARD, and where the server names none.
    """

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    size: int
    etag: str
    last_modified: int
    storage_class: str | None = None


class VersionBatch(Sequence[ObjectVersion]):
    """Some entries of a version listing as columns, in the order of the fields of ObjectVersion, and as a sequence.

    Work column by column costs a fraction of the same work entry by entry. The ObjectVersions are created on first
    access. ``storage_classes`` is None when all are None.
    """

    def __init__(
        self,
        keys: Sequence[str],
        version_ids: Sequence[str],
        is_latest: Sequence[bool],
        is_marker: Sequence[bool],
        sizes: Sequence[int],
        etags: Sequence[str],
        last_modified: Sequence[int],
        storage_classes: Sequence[str | None] | None = None,
    ) -> None:
        self.keys = keys
        self.version_ids = version_ids
        self.is_latest = is_latest
        self.is_marker = is_marker
        self.sizes = sizes
        self.etags = etags
        self.last_modified = last_modified
        self.storage_classes = storage_classes if storage_classes and any(storage_classes) else None

    @classmethod
    def of(cls, versions: Sequence[ObjectVersion]) -> VersionBatch:
        """The batch of these versions."""
        if isinstance(versions, cls):
            return versions
        return cls(*zip(*versions, strict=True)) if versions else cls([], [], [], [], [], [], [])

    @cached_property
    def _versions(self) -> list[ObjectVersion]:
        columns = (self.keys, self.version_ids, self.is_latest, self.is_marker, self.sizes, self.etags)
        classes = self.storage_classes or [None] * len(self.keys)
        rows = zip(*columns, self.last_modified, classes, strict=True)
        return list(map(partial(tuple.__new__, ObjectVersion), rows))  # as _make, without its check of the length

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[ObjectVersion]:
        return iter(self._versions)

    @overload
    def __getitem__(self, position: int) -> ObjectVersion: ...
    @overload
    def __getitem__(self, position: slice) -> list[ObjectVersion]: ...
    def __getitem__(self, position: int | slice) -> ObjectVersion | list[ObjectVersion]:
        return self._versions[position]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._versions == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list has none
