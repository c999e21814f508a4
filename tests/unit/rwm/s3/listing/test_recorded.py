"""Listings that are kept: whatever is asked again is answered as the bucket was, without a request."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.s3.listing import Level, RecordedLister, list_histories, list_in_parallel
from rwm.s3.listing import recorded as module
from tests.unit.memory import MemoryS3

KEYS = [
    "config",
    "data/00/a",
    "data/00/b",
    "data/01/c",
    "data/x",
    "host1/config",
    "host1/data/00/d",
    "keys/k",
    "k\ud800",
]
PREFIXES = ["", "data/", "data/00/", "data/01/", "host1/", "host1/data/", "keys/", "config", "host1/config", "none/"]


class CountingS3(MemoryS3):
    """Notes the prefixes that are listed."""

    def __init__(self) -> None:
        super().__init__("bucket1")
        self.asked: list[str] = []
        for key in KEYS:
            self.put("bucket1", key, b"1")
        self.put("bucket1", "data/00/a", b"22")
        self.delete("bucket1", "data/00/b")

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 1000
    ) -> Iterator[Sequence[ObjectVersion]]:
        self.asked.append(prefix)
        return super().version_batches(bucket, prefix, page_size=2)

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        self.asked.append(f"level {prefix}")
        return super().level(bucket, prefix, page_size=2)


def entries(lister: MemoryS3 | RecordedLister, prefix: str) -> list[ObjectVersion]:
    return sorted(chain.from_iterable(lister.version_batches("bucket1", prefix)))


@given(st.lists(st.sampled_from(PREFIXES), max_size=6), st.sampled_from(PREFIXES))
def test_every_listing_is_the_same_whatever_was_listed_before(before: list[str], prefix: str) -> None:
    s3 = CountingS3()
    expected = entries(s3, prefix)
    with closing(RecordedLister(s3)) as lister:
        for other in before:
            entries(lister, other)
        assert entries(lister, prefix) == expected
        asked = len(s3.asked)
        assert entries(lister, prefix) == expected
        assert len(s3.asked) == asked, "the second time it is not requested"


def test_what_was_listed_above_answers_what_is_below_as_it_was() -> None:
    s3 = CountingS3()
    with closing(RecordedLister(s3)) as lister:
        expected = {prefix: entries(s3, prefix) for prefix in PREFIXES}
        entries(lister, "")
        s3.asked.clear()
        s3.put("bucket1", "data/00/later", b"1")
        assert {prefix: entries(lister, prefix) for prefix in PREFIXES} == expected
        assert s3.asked == []


def test_directories_are_put_together_and_only_what_is_missing_is_listed() -> None:
    s3 = CountingS3()
    expected = entries(s3, "data/")
    with closing(RecordedLister(s3)) as lister:
        entries(lister, "data/00/")
        s3.asked.clear()
        assert entries(lister, "data/") == expected
        assert s3.asked == ["level data/", "data/01/"]


def test_many_directories_that_are_missing_are_listed_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = CountingS3()
    expected = entries(s3, "")
    for limit in ("MAX_REQUESTS", "MAX_CHILDREN"):
        monkeypatch.setattr(module, limit, 1)
        with closing(RecordedLister(s3)) as lister:
            entries(lister, "data/00/")
            s3.asked.clear()
            assert entries(lister, "") == expected
            assert s3.asked == ["level ", ""]
        monkeypatch.undo()


def test_a_listing_that_broke_off_is_not_kept() -> None:
    s3 = CountingS3()
    with closing(RecordedLister(s3)) as lister:
        next(lister.version_batches("bucket1", "data/"))
        s3.asked.clear()
        assert entries(lister, "data/") == entries(s3, "data/")
        assert s3.asked == ["data/", "data/"]


def test_on_a_full_disk_it_lists_again(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = CountingS3()
    expected = entries(s3, "")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with closing(RecordedLister(s3)) as lister:
        assert [entries(lister, "") for _ in range(2)] == [expected] * 2
        assert [level.prefixes for level in lister.level("bucket1")] == [
            level.prefixes for level in s3.level("bucket1")
        ]


def test_histories_of_a_location_after_a_parallel_listing_of_its_packs() -> None:
    s3 = CountingS3()
    place = Location("bucket1")
    expected = sorted(history for part in list_histories(s3, place) for history in part)
    with closing(RecordedLister(s3)) as lister:
        for prefix in ("keys/", "data/", "host1/data/"):
            list(list_in_parallel(lister, "bucket1", prefix, iter, 4))
        s3.asked.clear()
        assert sorted(history for part in list_histories(lister, place) for history in part) == expected
        assert not [prefix for prefix in s3.asked if "data" in prefix and "level" not in prefix], s3.asked
