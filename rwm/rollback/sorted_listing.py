"""A listing sorted by key, and joined with other sorted streams, in constant memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from rwm.index import CaptureSpool
from rwm.location import Location
from rwm.model import Entry, EntryBatch, ObjectVersion, OperationChange
from rwm.s3 import S3
from rwm.s3.listing import list_histories

T = TypeVar("T")
Progress = Callable[[int], None]
_BATCH = 1000  # keys


class Keyed(NamedTuple, Generic[T]):
    """Something of a key."""

    key: str
    value: T


Watch = Callable[[Iterator[Keyed[list[ObjectVersion]]]], Iterator[Keyed[list[ObjectVersion]]]]
"""Looks at a sorted listing on its way."""


def unwatched(listed: Iterator[Keyed[list[ObjectVersion]]]) -> Iterator[Keyed[list[ObjectVersion]]]:
    """The listing as it is."""
    return listed


@contextmanager
def list_sorted(
    s3: S3, location: Location, progress: Progress = lambda count: None
) -> Iterator[Iterator[Keyed[list[ObjectVersion]]]]:
    """List a location without RWM's own keys; yields the entries of each key, newest first, sorted by key."""

    def listed() -> Iterator[Keyed[Any]]:
        for part in list_histories(s3, location, concurrency=None):
            for history in part:
                progress(len(history))
                yield Keyed(history[0].key, [entry[1:] for entry in history])

    with sort_by_key(listed()) as found:
        yield (Keyed(key, [ObjectVersion(key, *entry) for entry in value]) for key, value in found)


@contextmanager
def sort_by_key(items: Iterable[Keyed[Any]]) -> Iterator[Iterator[Keyed[Any]]]:
    """The items, each of another key, sorted by key. Values go through JSON into a temporary file."""
    with closing(CaptureSpool.temporary()) as spool:
        spool.add(_batches(items))
        yield (Keyed(entry.key, json.loads(entry.etag)) for entry in spool.entries())


def _batches(items: Iterable[Keyed[Any]]) -> Iterator[EntryBatch]:
    rows = (Entry(key, "", 0, json.dumps(value), 0) for key, value in items)
    while batch := list(islice(rows, _BATCH)):
        yield EntryBatch.of(batch)


def group_changes(changes: Iterable[OperationChange]) -> Iterator[Keyed[list[OperationChange]]]:
    """The changes of each key; in a record those of one key follow each other."""
    for key, of_key in groupby(changes, key=attrgetter("key")):
        yield Keyed(key, list(of_key))


def join(
    left: Iterable[Keyed[T]], right: Iterable[Keyed[list[ObjectVersion]]]
) -> Iterator[tuple[str, T | None, list[ObjectVersion]]]:
    """(key, left, right) for each key of either, both sorted by key."""
    first, second = iter(left), iter(right)
    one, other = next(first, None), next(second, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.key < other.key):
            assert one is not None
            yield one.key, one.value, []
            one = next(first, None)
        elif one is None or other.key < one.key:
            yield other.key, None, other.value
            other = next(second, None)
        else:
            yield one.key, one.value, other.value
            one, other = next(first, None), next(second, None)
