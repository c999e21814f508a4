"""Listing many prefixes, most of which are small: several at once, in a given order, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from rwm.model import ObjectVersion
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.queue import merge_in_threads

_AT_ONCE = 8
_HELD = 32
"""Listings that are begun before the first of them is read: as many pages are in memory."""


class Begun(NamedTuple):
    """The listing of a prefix, of which the first page is read. ``rest`` is None if that is all."""

    prefix: str
    first: Sequence[ObjectVersion]
    rest: Iterator[Sequence[ObjectVersion]] | None

    def batches(self) -> Iterator[Sequence[ObjectVersion]]:
        """The whole listing; to be read once."""
        return chain([self.first], self.rest or ())


def begin_listings(s3: Lister, bucket: str, prefixes: Iterable[str]) -> Iterator[Begun]:
    """Begin the listing of each prefix, several at once, and yield them in the order of the prefixes.

    Whoever can write to a bucket can make thousands of small directories: their latencies must not add up. What is
    more than a page is listed further when it is read. Raises the errors of the listing.
    """
    remaining = iter(prefixes)
    while chunk := list(islice(remaining, _HELD)):
        if len(chunk) == 1:
            yield from _begin(s3, bucket, chunk[0])
            continue
        tasks = [partial(_begin, s3, bucket, prefix) for prefix in chunk]
        begun = {each.prefix: each for each in merge_in_threads(tasks, min(_AT_ONCE, len(tasks)))}
        yield from (begun[prefix] for prefix in chunk)


def _begin(s3: Lister, bucket: str, prefix: str) -> Iterator[Begun]:
    batches = iter(s3.version_batches(bucket, prefix))
    first = next(batches, ())
    second = next(batches, None)
    yield Begun(prefix, first, None if second is None else chain([second], batches))
