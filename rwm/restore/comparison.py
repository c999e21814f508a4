"""Compare what a location has with the entries that are to be restored there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain, repeat
from typing import NamedTuple

from rwm.model import Entry, ObjectVersion

_MD5 = re.compile("[0-9a-f]{32}", re.ASCII)
_MARKER_SIZE = -1


class Match(Enum):
    """How what is at a key compares with the entry that is wanted there."""

    SAME = "the same size and ETag"
    ALIKE = "the same size; the ETags say nothing, because the objects were uploaded in other parts"
    MISSING = "nothing is there"
    DELETED = "a delete marker is there"
    SIZE = "the size is another one"
    ETAG = "the MD5 sum of the content is another one"
    FOREIGN = "nothing is wanted there"


class Pair(NamedTuple):
    """A key, the entry that is wanted there and the current one, of which at least one is there."""

    key: str
    wanted: Entry | None
    found: Entry | None

    @property
    def match(self) -> Match:
        """How they compare."""
        if self.wanted is None:
            return Match.FOREIGN
        if self.found is None:
            return Match.MISSING
        if self.found.size == _MARKER_SIZE:
            return Match.DELETED
        if self.found.size != self.wanted.size:
            return Match.SIZE
        if self.found.etag == self.wanted.etag:
            return Match.SAME
        return Match.ETAG if _MD5.fullmatch(self.found.etag) and _MD5.fullmatch(self.wanted.etag) else Match.ALIKE


def current_entry(version: ObjectVersion, key: str) -> Entry:
    """The newest version of a key, or its delete marker, as an entry of another key."""
    size = _MARKER_SIZE if version.is_marker else version.size
    return Entry(key, version.version_id, size, version.etag, version.last_modified)


def pair_by_key(wanted: Iterable[Entry], found: Iterable[Entry]) -> Iterator[Pair]:
    """Join two streams of entries, each sorted by key, in constant memory."""
    end: Iterator[None] = repeat(None)
    left, right = chain(wanted, end), chain(found, end)
    one, other = next(left), next(right)
    while one is not None or other is not None:
        if other is None or (one is not None and one.key < other.key):
            assert one is not None
            yield Pair(one.key, one, None)
            one = next(left)
        elif one is None or other.key < one.key:
            yield Pair(other.key, None, other)
            other = next(right)
        else:
            yield Pair(one.key, one, other)
            one, other = next(left), next(right)
