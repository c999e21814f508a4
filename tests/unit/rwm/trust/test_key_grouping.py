"""Grouping by key in bounded memory: exact for up to a thousand entries, some of more."""

from __future__ import annotations

import tracemalloc
from itertools import chain, islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import ObjectVersion
from rwm.s3.listing import group_by_key
from rwm.times import SECOND
from rwm.trust.finding import FindingLog
from rwm.trust.key_grouping import HALF, MAX_ENTRIES, MAX_SAMPLE, LongHistory, group_keys
from rwm.trust.repository_audit import RepositoryAudit

PACK = f"data/00/{0:064x}"
START = 1_767_225_600_000


def entry(number: int, *, marker: bool = False, key: str = PACK, etag: str = "a", version: str = "") -> ObjectVersion:
    version = version or f"v{number}"
    size, etag = (0, "") if marker else (100, etag * 32)
    return ObjectVersion(key, version, False, marker, size, etag, START + number * SECOND)


def newest_first(entries: list[ObjectVersion]) -> list[ObjectVersion]:
    return entries[::-1]


def grouped(entries: list[ObjectVersion], page: int = 7) -> list[list[ObjectVersion]]:
    pages = (entries[start : start + page] for start in range(0, len(entries), page))
    return [list(history) for history in chain.from_iterable(group_keys(pages))]


def long(entries: list[ObjectVersion]) -> LongHistory:
    """The only key of a listing, given oldest first."""
    ((history,),) = group_keys([newest_first(entries)])
    assert isinstance(history, LongHistory)
    return history


@given(st.lists(st.integers(1, 4), max_size=40), st.integers(1, 9))
def test_keys_are_grouped_as_they_are_listed(counts: list[int], page: int) -> None:
    entries = [entry(n, key=f"k{key:03}") for key, count in enumerate(counts) for n in range(count)]
    assert grouped(entries, page) == list(group_by_key(entries))


def test_a_key_with_a_thousand_entries_is_whole() -> None:
    entries = [entry(n) for n in range(MAX_ENTRIES)]
    assert grouped(newest_first(entries)) == [newest_first(entries)]


def test_of_more_the_newest_the_oldest_and_other_contents_stay() -> None:
    entries = [entry(n, etag="b" if n == 5000 else "a") for n in range(10_000)]
    history = long(entries)
    assert history[:HALF] == newest_first(entries)[:HALF]
    assert history[-HALF:] == newest_first(entries)[-HALF:]
    assert entries[5000] in history
    assert len(history) + history.omitted == len(entries)
    assert entries[HALF] in history  # the oldest one of its content
    assert history.omitted_from == entries[HALF + 1].last_modified
    assert history.omitted_until == entries[-HALF - 1].last_modified


def test_memory_is_bounded_whatever_the_contents() -> None:
    history = long([entry(n, etag=f"{n}") for n in range(10_000)])
    assert len(history) == MAX_ENTRIES + MAX_SAMPLE


def test_the_null_version_stays() -> None:
    null = entry(5000, marker=True, version="null")
    assert null in long([null if n == 5000 else entry(n) for n in range(10_000)])


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 700)), min_size=1, max_size=12))
def test_every_removal_is_one_of_the_whole_history(runs: list[tuple[bool, int]]) -> None:
    kinds = list(chain.from_iterable([marker] * count for marker, count in runs))
    entries = [entry(n, marker=marker) for n, marker in enumerate(kinds)]
    ((history,),) = group_keys([newest_first(entries)])
    removed = {after for before, after in pairwise(entries) if after.is_marker and not before.is_marker}
    kept = newest_first(list(history))
    assert {after for before, after in pairwise(kept) if after.is_marker and not before.is_marker} <= removed
    assert kept[-1].is_marker == entries[-1].is_marker


@pytest.mark.parametrize("markers", [False, True])
def test_a_long_history_is_a_hint_and_what_is_kept_of_it_is_judged(markers: bool) -> None:
    entries = [entry(n, marker=markers and n % 2 == 1, etag="b" if n == 1200 else "a") for n in range(3000)]
    audit = RepositoryAudit("", FindingLog(), START + 3000 * SECOND)
    audit.observe(chain.from_iterable(group_keys([newest_first(entries)])))
    audit.finish()
    assert audit.versions == 3000
    assert audit.log.counts["long-history"] == 1
    assert audit.log.counts["other-content"] >= 1
    assert START + 1000 * SECOND in audit.log.questionable


def audited_with_markers(count: int, key: str) -> RepositoryAudit:
    """The audit of a key that was written once, and deleted so many times."""
    newest = (entry(n, marker=True, key=key) for n in range(count, 0, -1))
    listing = chain(newest, [entry(0, key=key)])
    pages = iter(lambda: list(islice(listing, 1000)), [])
    audit = RepositoryAudit("", FindingLog(), START + count * SECOND)
    audit.observe(chain.from_iterable(group_keys(pages)))
    audit.finish()
    return audit


@pytest.mark.parametrize("directory", ["data/00", "locks", "snapshots", "keys", "index"])
def test_markers_without_end_on_one_key(directory: str) -> None:
    """The answer is a hint that names the key, never `clean`; memory does not grow with the markers."""
    key, count = f"{directory}/{0:064x}", 20_000
    tracemalloc.start()
    audit = audited_with_markers(count, key)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert audit.versions == count + 1
    (finding,) = [one for one in audit.log.listed() if one.rule.code == "long-history"]
    assert finding.key == key and "markers of it were not judged one by one" in finding.detail
    assert START + count // 2 * SECOND in audit.log.questionable
    assert peak < 4 << 20


@pytest.mark.slow
def test_a_million_markers_on_one_key() -> None:
    audit = audited_with_markers(1_000_000, PACK)
    assert (audit.versions, audit.log.counts["long-history"]) == (1_000_001, 1)


def test_a_listing_is_read_in_parts() -> None:
    """A million entries of one key are not held."""
    read = 0

    def pages() -> object:
        nonlocal read
        for start in range(0, 100_000, 1000):
            read += 1000
            yield [entry(n, key=f"k{n:06}") for n in range(start, start + 1000)]

    first = next(islice(group_keys(pages()), 1))  # type: ignore[arg-type]
    assert len(first) <= read <= 10_000
