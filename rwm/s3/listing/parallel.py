"""Listing one large prefix by several connections, if that is faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Generic, TypeVar

from rwm.model import ObjectVersion
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.queue import merge_in_threads
from rwm.s3.listing.speed import best_width, next_width

T = TypeVar("T")
Read = Callable[[Iterable[Sequence[ObjectVersion]]], Iterator[T]]
_PROBE = 4000  # entries that one connection lists before several are tried
_LEVELS = 10  # pages of names directly in the prefix, all held in memory
_MIN_SECONDS = 1e-6


def list_in_parallel(
    s3: Lister,
    bucket: str,
    prefix: str,
    read: Read[T],
    concurrency: int | None = None,
) -> Iterator[T]:
    """Apply ``read`` to the listing of ``prefix``, directory by directory, in any order.

    ``concurrency`` is the number of connections; None measures which number is fastest, 1 included. A prefix of a few
    pages is never divided. The entries of one key are consecutive.
    """
    if concurrency == 1:
        yield from read(s3.version_batches(bucket, prefix))
        return
    begun = time.monotonic()
    start = _Start(s3.version_batches(bucket, prefix), prefix)
    yield from read(start)
    if start.ended:
        return
    speeds = {1: start.count / max(time.monotonic() - begun, _MIN_SECONDS)}
    parts = list(islice(s3.level(bucket, prefix), _LEVELS + 1))
    if len(parts) > _LEVELS:  # too many names to hold, with too few entries each to gain by it
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
        speeds[width] = (sum(counted.counts) - before) / max(time.monotonic() - began, _MIN_SECONDS)
    width = concurrency or best_width(speeds)
    if width == 1 and concurrency is None:  # go on with the flat listing, which takes fewer requests
        yield from read(start.rest(without=set(children[:done])))
    else:
        yield from merge_in_threads(tasks[done:], width)
        yield from read([keys])


class _Start:
    """The start of a listing: at least ``_PROBE`` entries, up to the end of a directory."""

    def __init__(self, listing: Iterator[Sequence[ObjectVersion]], prefix: str) -> None:
        self._listing = listing
        self._prefix = prefix
        self._next: Sequence[ObjectVersion] = []
        self._here = ""
        self.count = 0
        self.seen: set[str] = set()
        """The directories and keys that were listed completely."""
        self.ended = True

    def __iter__(self) -> Iterator[Sequence[ObjectVersion]]:
        for batch in self._listing:
            stop = self._stop(batch)
            if stop < len(batch):
                self._next, self.ended = batch[stop:], False
                yield batch[:stop]
                return
            yield batch

    def _stop(self, batch: Sequence[ObjectVersion]) -> int:
        """Where in the batch the first directory after enough entries begins; the batch's length if nowhere."""
        for place, entry in enumerate(batch):
            name = self.name(entry.key)
            if name != self._here:
                if self.count >= _PROBE:
                    return place
                self._here = name
                self.seen.add(name)
            self.count += 1
        return len(batch)

    def name(self, key: str) -> str:
        """The directory directly below the prefix that contains the key, or the key itself."""
        first, slash, _ = key[len(self._prefix) :].partition("/")
        return self._prefix + first + slash

    def rest(self, without: Collection[str] = ()) -> Iterator[Sequence[ObjectVersion]]:
        """The rest of the listing, without the entries of some directories and keys."""
        for batch in chain([self._next], self._listing):
            if not without or not batch:
                yield batch
            elif (name := self.name(batch[0].key)) != self.name(batch[-1].key):
                yield [entry for entry in batch if self.name(entry.key) not in without]
            elif name not in without:  # the whole batch is in it, because listings are sorted
                yield batch


class _Counted(Generic[T]):
    """Reads one directory, and counts its entries."""

    def __init__(self, read: Read[T]) -> None:
        self._read = read
        self.counts: list[int] = []

    def __call__(self, s3: Lister, bucket: str, prefix: str) -> Iterator[T]:
        def listed() -> Iterator[Sequence[ObjectVersion]]:
            count = 0
            for batch in s3.version_batches(bucket, prefix):
                count += len(batch)
                yield batch
            self.counts.append(count)

        return self._read(listed())
