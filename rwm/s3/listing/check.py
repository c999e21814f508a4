"""Checks of a version listing, page by page, and grouping of its entries by key. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice
from operator import and_, eq, lt

from rwm.errors import BadResponse
from rwm.layout import OWN_PREFIX, is_own_key
from rwm.model import ObjectVersion, VersionBatch


@dataclass
class ListingCheck:
    """Refuses a listing that is not consistent. Gets its entries in order.

    Servers sort keys by byte (S3, Ceph RGW) or by path component (SeaweedFS); a listing must keep to either order
    from its first entry to its last. ``prefix`` is what was asked for.

    A key whose versions are not listed newest first says nothing of the rest of the listing, so it is no error:
    ``ambiguous`` is called with the entry that shows it. SeaweedFS lists a ``null`` version last, also when it was
    written last, while versioning was suspended. Times decide only about a ``null`` version: Ceph RGW lists concurrent
    writes in the right order with times in another.
    """

    prefix: str = ""
    ambiguous: Callable[[ObjectVersion], None] = lambda entry: None
    # Of the last entry, and the id of the first entry of its key:
    _key: str | None = None
    _version_id: str = ""
    _time: int = 0
    _first_id: str = ""
    _by_byte: bool = True
    _by_component: bool = True

    def check(self, versions: Sequence[ObjectVersion]) -> None:
        """Check the next entries. Raises BadResponse for one outside the prefix, out of order or repeated."""
        if not versions:
            return
        batch = VersionBatch.of(versions)
        if not self._is_rising(batch):
            self._check_each(versions)
            return
        self._key, self._version_id, self._time = batch.keys[-1], batch.version_ids[-1], batch.last_modified[-1]
        self._first_id = self._version_id

    def _is_rising(self, batch: VersionBatch) -> bool:
        """Whether each key is greater by byte than the one before: the usual page, cheap to check."""
        first, last = batch.keys[0], batch.keys[-1]
        if not (self._by_byte and first.startswith(self.prefix) and last.startswith(self.prefix)):
            return False
        keys = batch.keys if self._key is None else [self._key, *batch.keys]
        if not _is_sorted(keys):
            return False
        self._by_component = self._by_component and _is_sorted([key.replace("/", "\0") for key in keys])
        return True

    def _check_each(self, versions: Sequence[ObjectVersion]) -> None:
        for version in versions:
            key, version_id = version.key, version.version_id
            if not key.startswith(self.prefix):
                raise BadResponse(f"the listing of {self.prefix!r} answered with the key {key!r}")
            if key != self._key:
                if self._key is not None:
                    self._check_order(self._key, key)
                self._first_id = version_id
            elif version_id in (self._version_id, self._first_id):
                raise BadResponse(f"the listing repeats version {version_id} of {key!r}")
            elif version.is_latest or (version_id == "null" and version.last_modified > self._time):
                self.ambiguous(version)
            self._key, self._version_id, self._time = key, version_id, version.last_modified

    def _check_order(self, before: str, after: str) -> None:
        self._by_byte = self._by_byte and before < after
        self._by_component = self._by_component and before.replace("/", "\0") < after.replace("/", "\0")
        if not (self._by_byte or self._by_component):
            raise BadResponse(f"the listing goes backwards: {after!r} after {before!r}")


def _is_sorted(keys: Sequence[str]) -> bool:
    """Whether each key is greater than the one before."""
    return all(map(lt, keys, islice(keys, 1, None)))


def is_torn(page: Sequence[ObjectVersion], after: str = "") -> bool:
    """Whether a page has a latest version after another version of its key, which was written while the page was made.

    ``after`` is the key of the page's version marker, if it has one. A ``null`` version is no sign of it.
    """
    batch = VersionBatch.of(page)
    is_repeated = map(eq, batch.keys, chain([after], batch.keys))
    torn = compress(batch.version_ids, map(and_, batch.is_latest, is_repeated))
    return any(version_id != "null" for version_id in torn)


def keys_of(versions: Sequence[ObjectVersion]) -> Sequence[str]:
    """The key of each entry; of a VersionBatch, without creating the entries."""
    return versions.keys if isinstance(versions, VersionBatch) else [version.key for version in versions]


def without_own_keys(batches: Iterable[Sequence[ObjectVersion]]) -> Iterator[Sequence[ObjectVersion]]:
    """The batches without RWM's own objects. One search through the keys of a batch, if it has none."""
    for batch in batches:
        if OWN_PREFIX in "".join(keys_of(batch)):
            yield [version for version in batch if not is_own_key(version.key)]
        else:
            yield batch


def group_by_key(versions: Iterable[ObjectVersion]) -> Iterator[list[ObjectVersion]]:
    """Group consecutive entries of one key, across pages; the order within a key is the server's."""
    group: list[ObjectVersion] = []
    for version in versions:
        if group and group[0].key != version.key:
            yield group
            group = []
        group.append(version)
    if group:
        yield group
