"""Many small listings: in order, each complete, several at once, with one request for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from threading import Barrier, Lock

import pytest

from rwm.errors import S3Error
from rwm.model import ObjectVersion
from rwm.s3.listing.ahead import begin_listings
from tests.unit.memory import MemoryS3

BUCKET = "bucket1"
PREFIXES = [f"host{number:03}/" for number in range(100)]


class CountedS3(MemoryS3):
    """Counts the pages of each prefix that were read, and has pages of three entries."""

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.pages: dict[str, int] = {}
        self._counting = Lock()

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 1000
    ) -> Iterator[Sequence[ObjectVersion]]:
        for batch in super().version_batches(bucket, prefix, page_size=3):
            with self._counting:
                self.pages[prefix] = self.pages.get(prefix, 0) + 1
            yield batch


def filled(large: str = "") -> CountedS3:
    """Two objects below each prefix; seven more below one of them."""
    s3 = CountedS3()
    for prefix in PREFIXES:
        for name in ("config", "data/x", *(f"z{number}" for number in range(7) if prefix == large)):
            s3.put(BUCKET, prefix + name, b"1")
    return s3


def test_each_prefix_comes_in_its_order_with_all_that_is_below_it() -> None:
    s3 = filled(large=PREFIXES[40])
    for begun, prefix in zip(begin_listings(s3, BUCKET, PREFIXES), PREFIXES, strict=True):
        assert begun.prefix == prefix
        assert (begun.rest is None) == (prefix != PREFIXES[40])
        found = [entry.key for entry in chain.from_iterable(begun.batches())]
        assert found == [key for key in sorted(s3.buckets[BUCKET]) if key.startswith(prefix)]


def test_what_is_not_read_is_not_listed() -> None:
    s3 = filled(large=PREFIXES[0])
    listings = begin_listings(s3, BUCKET, PREFIXES)
    next(listings)
    assert s3.pages[PREFIXES[0]] == 2
    assert len(s3.pages) < len(PREFIXES) // 2  # memory does not grow with the number of prefixes


def test_an_empty_prefix_is_a_whole_listing() -> None:
    (begun,) = begin_listings(filled(), BUCKET, ["nothing/"])
    assert begun.rest is None
    assert list(chain.from_iterable(begun.batches())) == []


def test_several_are_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = MemoryS3(BUCKET)
    together = Barrier(8, timeout=60)

    def waiting(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        together.wait()
        yield []

    monkeypatch.setattr(s3, "version_batches", waiting)
    assert [begun.prefix for begun in begin_listings(s3, BUCKET, PREFIXES[:32])] == PREFIXES[:32]


def test_the_errors_of_a_listing_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = MemoryS3(BUCKET)

    def failing(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        if prefix == PREFIXES[5]:
            raise S3Error("no answer")
        yield []

    monkeypatch.setattr(s3, "version_batches", failing)
    with pytest.raises(S3Error, match="no answer"):
        list(begin_listings(s3, BUCKET, PREFIXES))
