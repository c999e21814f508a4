"""Content hashes in names of repository files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.restic.content import expected_sha256, find_fault

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize("place", ["data/01/", "index/", "snapshots/", "keys/", "repo/data/01/", "a/b\nc/index/"])
def test_content_addressed_names(place: str) -> None:
    assert expected_sha256(place + HASH) == HASH


@pytest.mark.parametrize(
    "key",
    [
        "config",
        "locks/" + HASH,
        "data/" + HASH,
        "data/0/" + HASH,
        "data/zz/" + HASH,
        "data/01/" + HASH.upper(),
        "data/01/" + HASH[:-1],
        "data/01/" + HASH + "0",
        "data/01/" + HASH + "\n",
        "data/01/" + HASH + "-tmp-1",
        "metadata/01/" + HASH,
        "xindex/" + HASH,
        "index/x/" + HASH,
        HASH,
    ],
)
def test_other_names(key: str) -> None:
    assert expected_sha256(key) is None


@given(key=st.text(alphabet="data/01abindex\n", max_size=80))
def test_the_hash_is_the_end_of_the_name(key: str) -> None:
    expected = expected_sha256(key)
    assert expected is None or (len(expected) == 64 and key.endswith("/" + expected))


@pytest.mark.parametrize(
    ("size", "digest", "fault"),
    [(3, "a" * 64, None), (3, "b" * 64, "SHA-256"), (2, "a" * 64, "has 2 bytes"), (4, "a" * 64, "more than 3 bytes")],
)
def test_what_is_wrong_with_content(size: int, digest: str, fault: str | None) -> None:
    found = find_fault("index/" + "a" * 64, 3, size, digest)
    assert found is None if fault is None else fault in (found or "")
