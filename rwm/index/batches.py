"""Comparing states batch by batch. Pure.

All entries of all batches of a state are sorted by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import compress, count, islice
from operator import ne
from typing import Protocol, TypeVar, runtime_checkable

from rwm.model import Change, Entry, EntryBatch

T = TypeVar("T")

BATCH = 1000
"""The largest number of items in a batch."""


def batched(items: Iterable[T]) -> Iterator[list[T]]:
    """The same items in lists."""
    source = iter(items)
    while batch := list(islice(source, BATCH)):
        yield batch


def entry_batches(entries: Iterable[Entry]) -> Iterator[EntryBatch]:
    """The same entries in batches."""
    return map(EntryBatch.of, batched(entries))


@runtime_checkable
class EntrySource(Protocol):
    """The entries of a state, which can be read more than once."""

    def batches(self) -> Iterator[EntryBatch]:
        """All entries, sorted by key."""

    def differences(self, before: Iterable[EntryBatch]) -> Iterator[Change]:
        """The changes from the state ``before``, sorted by key."""


class ObservedEntries:
    """The entries of another source; ``observe`` is called with each batch of the first read."""

    def __init__(self, source: EntrySource, observe: Callable[[EntryBatch], None]) -> None:
        self._source = source
        self._observe: Callable[[EntryBatch], None] | None = observe

    def batches(self) -> Iterator[EntryBatch]:
        """See :class:`EntrySource`."""
        observe, self._observe = self._observe, None
        for batch in self._source.batches():
            if observe is not None:
                observe(batch)
            yield batch

    def differences(self, before: Iterable[EntryBatch]) -> Iterator[Change]:
        """See :class:`EntrySource`."""
        return diff_batches(before, self.batches())


class EntryList:
    """Entries in memory, sorted by key; implements :class:`EntrySource`."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)

    def batches(self) -> Iterator[EntryBatch]:
        """See :class:`EntrySource`."""
        return entry_batches(self._entries)

    def differences(self, before: Iterable[EntryBatch]) -> Iterator[Change]:
        """See :class:`EntrySource`."""
        return diff_batches(before, self.batches())


def diff_batches(before: Iterable[EntryBatch], after: Iterable[EntryBatch]) -> Iterator[Change]:
    """The changes from ``before`` to ``after``, sorted by key. Reads each once, in constant memory."""
    olds, news = iter(before), iter(after)
    old, new = next(olds, None), next(news, None)
    i = j = 0  # positions up to which both are compared
    while old and new:
        old_key, new_key = old.keys[i], new.keys[j]
        if old_key == new_key:
            equal = _equal_keys(old, i, new, j)
            yield from _changed(old, i, new, j, equal)
            i, j = i + equal, j + equal
        elif old_key < new_key:
            yield Change(old_key, None)
            i += 1
        else:
            yield Change(new_key, new.entry(j))
            j += 1
        if i == len(old.keys):
            old, i = next(olds, None), 0
        if j == len(new.keys):
            new, j = next(news, None), 0
    while old:
        yield from (Change(key, None) for key in old.keys[i:])
        old, i = next(olds, None), 0
    while new:
        yield from (Change(entry.key, entry) for entry in islice(new.entries(), j, None))
        new, j = next(news, None), 0


def _equal_keys(old: EntryBatch, i: int, new: EntryBatch, j: int) -> int:
    """The number of equal keys from the two positions on."""
    differ = map(ne, old.keys[i:], new.keys[j:])
    return next(compress(count(), differ), min(len(old.keys) - i, len(new.keys) - j))


def _changed(old: EntryBatch, i: int, new: EntryBatch, j: int, number: int) -> Iterator[Change]:
    """The changes among ``number`` keys that are in both."""
    columns = zip(old[1:], new[1:], strict=True)
    if all(list(before[i : i + number]) == list(after[j : j + number]) for before, after in columns):
        return
    for position in range(number):
        if (entry := new.entry(j + position)) != old.entry(i + position):
            yield Change(entry.key, entry)
