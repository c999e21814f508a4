"""The entries of a state, one by one and as columns, and how two states differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple


class Entry(NamedTuple):
    """A key of a state, with the version that was current."""

    key: str
    version_id: str
    size: int
    etag: str
    last_modified: int


class EntryBatch(NamedTuple):
    """One or more entries as columns: work column by column costs a fraction of the same work entry by entry.

    The values at one position in all columns are one entry.
    """

    keys: Sequence[str]
    version_ids: Sequence[str]
    sizes: Sequence[int]
    etags: Sequence[str]
    last_modified: Sequence[int]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> EntryBatch:
        """The batch of these entries."""
        return cls(*zip(*entries, strict=True))

    def entries(self) -> Iterator[Entry]:
        """The entries one by one, in an eighth of the time of calling Entry for each."""
        return map(partial(tuple.__new__, Entry), zip(*self, strict=True))

    def part(self, start: int, stop: int) -> EntryBatch:
        """The entries from position ``start`` to before ``stop``."""
        keys, version_ids, sizes, etags, last_modified = self
        part = slice(start, stop)
        return EntryBatch(keys[part], version_ids[part], sizes[part], etags[part], last_modified[part])

    def entry(self, position: int) -> Entry:
        """The entry at a position."""
        keys, version_ids, sizes, etags, last_modified = self
        return Entry(keys[position], version_ids[position], sizes[position], etags[position], last_modified[position])


class Change(NamedTuple):
    """A change from one state to another: ``key`` has the new ``entry``, or is removed (None)."""

    key: str
    entry: Entry | None


class Difference(NamedTuple):
    """A key that differs between two states; None if a state does not have the key."""

    key: str
    before: Entry | None
    after: Entry | None
