"""Listings: what a sequence of pages must keep to, and the entries of one key out of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rwm.errors import BadResponse
from rwm.model import ObjectVersion


@dataclass
class ListingCheck:
    """Watches the entries and markers of one listing go by, and refuses a listing that cannot be whole.

    Servers sort keys by byte (S3, Ceph RGW) or by path component (SeaweedFS); a listing must keep to either order
    from its first entry to its last. ``prefix`` is what was asked for.
    """

    prefix: str = ""
    _last: ObjectVersion | None = None
    _by_byte: bool = True
    _by_component: bool = True

    def entries(self, versions: Iterable[ObjectVersion]) -> None:
        """Raises BadResponse on a key outside the prefix, a repeated entry, or a key that goes backwards."""
        last = self._last
        for version in versions:
            key = version.key
            if not key.startswith(self.prefix):
                raise BadResponse(f"the listing of {self.prefix!r} answered with the key {key!r}")
            if last is not None:
                if key != last.key:
                    self._ordered(last.key, key)
                elif version.version_id == last.version_id:
                    raise BadResponse(f"the listing repeats version {version.version_id} of {key!r}")
                elif version.is_latest:
                    raise BadResponse(f"the listing names a second latest version of {key!r}")
            last = version
        self._last = last

    def _ordered(self, before: str, after: str) -> None:
        self._by_byte = self._by_byte and before < after
        self._by_component = self._by_component and before.replace("/", "\0") < after.replace("/", "\0")
        if not (self._by_byte or self._by_component):
            raise BadResponse(f"the listing goes backwards: {after!r} after {before!r}")


def is_torn(page: Iterable[ObjectVersion], after: str = "") -> bool:
    """Whether a page names a latest version behind another one of its key: it is not of one moment, or a lie.

    ``after`` is the key of the version that the page goes on from, if it goes on from one.
    """
    key = after
    for version in page:
        if version.is_latest and version.key == key:
            return True
        key = version.key
    return False


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
