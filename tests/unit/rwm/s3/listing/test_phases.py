"""The order of a capture's listing: in each repository snapshots first and packs last, and every key once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.layout import REPOSITORY_DIRECTORIES, is_own_key
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.s3.listing import phases
from rwm.s3.listing.discovery import discover
from rwm.s3.listing.phases import list_in_phases
from rwm.s3.listing.sibling_order import Level
from tests.unit.memory import MemoryS3
from tests.unit.rwm.s3.listing.test_discovery import REPOSITORY, ListedS3, leaves, prefixes, repository

BUCKET = Location("bucket1")


class Listed(NamedTuple):
    """A key, and the prefix of the repository in whose order it was listed."""

    key: str
    repository: str | None


def listed(s3: MemoryS3, location: Location = BUCKET) -> list[Listed]:
    def read(batches: Iterable[Sequence[ObjectVersion]], *, repository: str | None) -> Iterator[Listed]:
        return (Listed(entry.key, repository) for batch in batches for entry in batch)

    return [entry for part in list_in_phases(s3, location, read, concurrency=1) for entry in part]


def test_phases_of_two_repositories_and_the_rest() -> None:
    s3 = ListedS3(*repository("", "host1/"), "locks/l", "notes/x", "rwm/states/s", "host1/rwm/states/s", "host1/x/y")
    found = listed(s3)
    parts = [found[:1], found[1:3], found[3:5], found[5:-2], found[-2:]]
    assert [sorted(part) for part in parts] == [
        [("config", "")],
        [("host1/snapshots/s", "host1/"), ("snapshots/s", "")],
        [("host1/index/i", "host1/"), ("index/i", "")],
        [
            ("host1/config", "host1/"),
            ("host1/keys/k", "host1/"),
            ("host1/x/y", None),
            ("keys/k", ""),
            ("locks/l", ""),
            ("notes/x", None),
        ],
        [("data/00/p", ""), ("host1/data/00/p", "host1/")],
    ]


def test_a_location_lists_only_below_its_prefix() -> None:
    s3 = ListedS3(*repository("", "host1/", "host10/", "host1/old/"))
    found = listed(s3, Location("bucket1", "host1/"))
    assert sorted(entry.key for entry in found) == sorted(repository("host1/", "host1/old/"))
    assert all(path.startswith("host1/") for path in s3.read)


@given(
    whole=st.lists(prefixes, max_size=3),
    single=st.lists(st.tuples(prefixes, leaves).map("".join), max_size=12),
    limit=st.sampled_from([1, 2, 1000]),
)
def test_every_key_comes_once_in_the_safe_order(whole: list[str], single: list[str], limit: int) -> None:
    s3 = ListedS3(*{*repository(*whole), *single})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phases, "_MAX_DIRECTORIES", limit)
        found = listed(s3)
    assert sorted(entry.key for entry in found) == sorted(key for key in s3.buckets["bucket1"] if not is_own_key(key))
    positions = {entry.key: number for number, entry in enumerate(found)}
    roots = discover(s3, BUCKET).repositories
    if limit < 1000:  # then fewer are known
        roots = {root for root in roots if root and dict(found).get(f"{root}config")}
    for root in roots:
        places = [
            [number for key, number in positions.items() if key.startswith(f"{root}{name}/")]
            for name in ("snapshots", "index", "keys", "data")
        ]
        assert all(max(before, default=-1) < min(places[3], default=len(found)) for before in places[:3])
        assert max(places[0], default=-1) < min(places[1], default=len(found))
    for key, of in found:
        root = max((root for root in {*roots, ""} if key.startswith(root)), key=len)
        in_repository = of is not None
        assert of in (None, root), key
        first, slash, _ = key[len(root) :].partition("/")
        assert not in_repository or not slash or first in REPOSITORY_DIRECTORIES, key
        if limit == 1000 and root:
            assert in_repository == (not slash or first in REPOSITORY_DIRECTORIES), key


def test_a_directory_with_very_many_directories_takes_one_more_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "_MAX_DIRECTORIES", 4)
    many = [f"host1/x{n}/k" for n in range(40)]
    s3 = ListedS3(*repository("", "host1/"), *many)
    level, asked = s3.level, []

    def paged(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        for part in level(bucket, prefix):
            yield part._replace(prefixes=part.prefixes[:5])
            yield part._replace(versions=[], prefixes=part.prefixes[5:])

    def batches(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        asked.append(prefix)
        return MemoryS3.version_batches(s3, bucket, prefix)

    s3.level, s3.version_batches = paged, batches  # type: ignore[method-assign]
    found = listed(s3)
    assert sorted(found, key=str) == sorted(
        [Listed(f"{root}{name}", root) for root in ("", "host1/") for name in REPOSITORY]
        + [Listed(key, None) for key in many],
        key=str,
    )
    assert "host1/" in asked and not [path for path in asked if path.startswith("host1/x")]


def test_the_phases_of_a_location_with_very_many_directories_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "_MAX_DIRECTORIES", 2)
    many = [f"a{n}/k" for n in range(9)]
    s3 = ListedS3(*repository(""), *many)
    level = s3.level

    def paged(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        for part in level(bucket, prefix):
            yield part._replace(prefixes=part.prefixes[:3])
            yield part._replace(versions=[], prefixes=part.prefixes[3:])

    s3.level = paged  # type: ignore[method-assign]
    assert sorted(listed(s3), key=str) == sorted(
        [*(Listed(name, "") for name in REPOSITORY), *(Listed(key, None) for key in many)], key=str
    )


def test_a_key_directly_in_a_directory_above_a_repository_is_of_none() -> None:
    s3 = ListedS3(*repository("hosts/host1/"), "hosts/config")
    assert dict(listed(s3))["hosts/config"] is None


def test_state_files_of_a_prefix_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = ListedS3(*repository("host1/"), "host1/rwm/states/s", "host1/rwm/other")
    version_batches, asked = s3.version_batches, []

    def batches(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        asked.append(prefix)
        return version_batches(bucket, prefix, page_size=page_size)

    monkeypatch.setattr(s3, "version_batches", batches)
    assert Listed("host1/rwm/other", None) in listed(s3)
    assert not [path for path in asked if "host1/rwm/states/s".startswith(path)]


class TestSeveralDirectoriesAtOnce:
    """A machine can make any number of directories below its prefix, and must not slow a capture of all."""

    @pytest.mark.parametrize(
        ("keys", "paths"),
        [
            ([f"host1/x{n}/k" for n in range(8)], [f"host1/x{n}/" for n in range(8)]),
            (repository("host2/"), ["host1/snapshots/", "host2/snapshots/", "host1/index/", "host2/index/"]),
        ],
    )
    def test_each_waits_for_another_one(
        self, monkeypatch: pytest.MonkeyPatch, keys: Sequence[str], paths: Sequence[str]
    ) -> None:
        s3 = ListedS3(*repository("host1/"), *keys)
        together = threading.Barrier(2)
        version_batches = s3.version_batches

        def batches(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
            if prefix in paths:
                together.wait(timeout=20)
            return version_batches(bucket, prefix, page_size=page_size)

        monkeypatch.setattr(s3, "version_batches", batches)
        assert {entry.key for entry in listed(s3)} == {*repository("host1/"), *keys}

    def test_the_directories_of_repositories(self, monkeypatch: pytest.MonkeyPatch) -> None:
        roots = [f"host{n}/" for n in range(4)]
        s3 = ListedS3(*repository(*roots))
        together = threading.Barrier(2)
        level = s3.level

        def levels(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
            if prefix in roots:
                together.wait(timeout=20)
            return level(bucket, prefix, page_size=page_size)

        monkeypatch.setattr(s3, "level", levels)
        assert {entry.key for entry in listed(s3)} == set(repository(*roots))
