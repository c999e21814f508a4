"""Listing a location part by part: every key with all its versions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

from rwm.layout import is_own_key
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.s3.listing.ahead import begin_listings
from rwm.s3.listing.check import group_by_key, without_own_keys
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.parallel import Read, list_in_parallel

T = TypeVar("T")
_LAST = "data/"
_BATCH = 1000  # keys


def list_histories(
    s3: Lister, location: Location, *, own: bool = False, ambiguous: bool = False, concurrency: int | None = 1
) -> Iterator[Iterator[list[ObjectVersion]]]:
    """One iterator for the keys without a prefix, then one for each top-level prefix; with ``own``, also RWM's.

    Each yields the entries of one key at a time, newest first. Keys whose versions are not listed in that order are
    left out, unless ``ambiguous``. ``concurrency`` as in :func:`list_by_prefix`.
    """
    parts = list_by_prefix(s3, location, _group, own=own, concurrency=concurrency)
    if ambiguous:
        return (chain.from_iterable(part) for part in parts)
    return (_without_ambiguous(chain.from_iterable(part), s3, location.bucket) for part in parts)


def _without_ambiguous(
    histories: Iterable[list[ObjectVersion]], s3: Lister, bucket: str
) -> Iterator[list[ObjectVersion]]:
    """A key is known to be ambiguous when its last entry was listed."""
    unknown = s3.unknown_keys
    return (history for history in histories if not unknown.is_ambiguous(bucket, history[0].key))


def _group(listed: Iterable[Sequence[ObjectVersion]]) -> Iterator[list[list[ObjectVersion]]]:
    """The entries key by key, in lists of many keys."""
    keys = group_by_key(chain.from_iterable(listed))
    while batch := list(islice(keys, _BATCH)):
        yield batch


def list_by_prefix(
    s3: Lister,
    location: Location,
    read: Read[T],
    *,
    own: bool = False,
    concurrency: int | None = 1,
) -> Iterator[Iterator[T]]:
    """Apply ``read`` to the batches of each part of the bucket: keys without a prefix, then each top-level prefix.

    Memory is constant. All entries of a key are in one part, consecutive, newest first. ``data/`` is listed last, by
    ``concurrency`` connections (None: measure which number is fastest); ``read`` is called in their threads.
    """
    prefixes: set[str] = set()

    def top() -> Iterator[Sequence[ObjectVersion]]:
        for level in s3.level(location.bucket, location.prefix):
            prefixes.update(level.prefixes)
            yield level.versions

    def read_part(batches: Iterable[Sequence[ObjectVersion]]) -> Iterator[T]:
        return read(batches if own else without_own_keys(batches))

    listing = top()
    yield read_part(listing)
    deque(listing, maxlen=0)  # collects all prefixes, even if the caller stopped reading
    order = listing_order(prefixes, location, own=own)
    packs = [prefix for prefix in order[-1:] if prefix == location.key(_LAST)]
    for begun in begin_listings(s3, location.bucket, order[: len(order) - len(packs)]):
        yield read_part(begun.batches())
    for prefix in packs:
        yield list_in_parallel(s3, location.bucket, prefix, read_part, concurrency)


def listing_order(prefixes: Iterable[str], location: Location, *, own: bool = False) -> list[str]:
    """The prefixes directly below the location in the order to list them: ``data/`` last; with ``own``, also RWM's."""
    last = location.key(_LAST)
    return sorted((prefix for prefix in prefixes if own or not is_own_key(prefix)), key=lambda p: (p == last, p))
