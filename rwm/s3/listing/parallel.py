"""One large prefix by several connections, where the server is faster that way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

from rwm.model import ObjectVersion
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.queue import merge_in_threads
from rwm.s3.listing.speed import best_width, next_width

T = TypeVar("T")
Read = Callable[[Iterable[ObjectVersion]], Iterator[T]]
_PROBE = 4000  # entries that are listed by one connection before anything else is tried
_LEVELS = 10  # pages of names in the prefix itself, of which all are held
_INSTANT = 1e-6


def list_in_parallel(
    s3: Lister,
    bucket: str,
    prefix: str,
    read: Read[T],
    concurrency: int | None = None,
) -> Iterator[T]:
    """What ``read`` makes of the listing of ``prefix``, whose directories are read each by itself, in any order.

    ``concurrency`` connections, or (None) as many as are measured to be worth it, 1 included. A prefix of a few pages
    is never divided. Entries of one key stay together.
    """
    if concurrency == 1:
        yield from read(s3.versions(bucket, prefix))
        return
    begun = time.monotonic()
    start = _Start(s3.versions(bucket, prefix), prefix)
    yield from read(start)
    if start.ended:
        return
    speeds = {1: start.count / max(time.monotonic() - begun, _INSTANT)}
    parts = list(islice(s3.level(bucket, prefix), _LEVELS + 1))
    if len(parts) > _LEVELS:  # too many to hold, and too small to gain from
        yield from read(start.rest())
        return
    children = [name for part in parts for name in part.prefixes if name not in start.seen]
    keys = [entry for part in parts for entry in part.versions if entry.key not in start.seen]
    counted = _Counted(read)
    tasks = [partial(counted, s3, bucket, child) for child in children]
    done = 0
    while concurrency is None and done < len(tasks) and (width := next_width(speeds)):
        began, before = time.monotonic(), sum(counted.counts)
        yield from merge_in_threads(tasks[done : done + 2 * width], width)
        done += 2 * width
        speeds[width] = (sum(counted.counts) - before) / max(time.monotonic() - began, _INSTANT)
    width = concurrency or best_width(speeds)
    if width == 1 and concurrency is None:  # as if nothing had been tried: directory by directory is more requests
        finished = set(children[:done])
        yield from read(entry for entry in start.rest() if start.name(entry.key) not in finished)
    else:
        yield from merge_in_threads(tasks[done:], width)
        yield from read(keys)


class _Start:
    """The beginning of a listing, up to the end of a directory."""

    def __init__(self, listing: Iterator[ObjectVersion], prefix: str) -> None:
        self._listing = listing
        self._prefix = prefix
        self._next: ObjectVersion | None = None
        self.count = 0
        self.seen: set[str] = set()
        """The directories and keys that it has read whole."""
        self.ended = True

    def __iter__(self) -> Iterator[ObjectVersion]:
        here = ""
        for entry in self._listing:
            name = self.name(entry.key)
            if self.count >= _PROBE and name != here:
                self._next, self.ended = entry, False
                return
            self.count += 1
            if name != here:
                here = name
                self.seen.add(name)
            yield entry

    def name(self, key: str) -> str:
        """The directory or key of the prefix that a key belongs to."""
        first, slash, _ = key[len(self._prefix) :].partition("/")
        return self._prefix + first + slash

    def rest(self) -> Iterator[ObjectVersion]:
        """What comes after."""
        assert self._next is not None
        yield self._next
        yield from self._listing


class _Counted(Generic[T]):
    """Reads one directory, and counts what it has."""

    def __init__(self, read: Read[T]) -> None:
        self._read = read
        self.counts: list[int] = []

    def __call__(self, s3: Lister, bucket: str, prefix: str) -> Iterator[T]:
        def listed() -> Iterator[ObjectVersion]:
            count = 0
            for entry in s3.versions(bucket, prefix):
                count += 1
                yield entry
            self.counts.append(count)

        return self._read(listed())
