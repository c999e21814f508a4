"""The running hash of an object, over parts of any size."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.object_id import ObjectId
from rwmfs.read.content_hash import ContentHash


def hash_of(data: bytes, key: str = "data/{:.2}/{}") -> ContentHash:
    name = hashlib.sha256(data).hexdigest()
    return ContentHash(ObjectId(key.format(name, name), "v1", len(data), "etag"))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 300)), st.integers(0, 299), st.booleans())
def test_right_bytes_match_and_wrong_ones_do_not(data: bytes, cuts: list[int], position: int, damaged: bool) -> None:
    content_hash = hash_of(data)
    found = bytearray(data)
    if damaged:
        found[position % len(data)] ^= 1
    for start, stop in pairwise(sorted({0, len(data), *(position for position in cuts if position < len(data))})):
        assert content_hash.is_pending
        assert not content_hash.is_complete
        assert content_hash.position == start
        content_hash.update(memoryview(found)[start:stop])
    assert content_hash.is_complete
    assert not content_hash.settled.is_set(), "only by settle()"
    content_hash.settle()
    assert content_hash.settled.is_set()
    assert content_hash.verdict is not damaged


def test_bytes_verified_before_are_not_hashed() -> None:
    content_hash = hash_of(b"right")
    content_hash.skip(2)
    assert content_hash.position == 2
    content_hash.skip(3)
    content_hash.settle()
    assert content_hash.verdict is True


@pytest.mark.parametrize("data", [b"right", b"wrong"])
def test_all_bytes_are_hashed_if_some_were_not_verified_before(data: bytes) -> None:
    content_hash = hash_of(b"right")
    content_hash.skip(2)
    content_hash.restart_hashing()
    assert content_hash.position == 0
    assert content_hash.is_hashing
    content_hash.update(memoryview(data))
    content_hash.settle()
    assert content_hash.verdict is (data == b"right")


def test_an_incomplete_hash_does_not_match() -> None:
    content_hash = hash_of(b"right")
    content_hash.skip(2)
    content_hash.settle()
    assert content_hash.verdict is False


@pytest.mark.parametrize("key", ["index/{1}", "snapshots/{1}", "keys/{1}", "host1/data/{0:.2}/{1}"])
def test_keys_named_by_their_hash(key: str) -> None:
    assert hash_of(b"x", key).is_pending


@pytest.mark.parametrize("key", ["config", "locks/{1}", "data/{1}", "other/{1}", "data/zz/{1}x"])
def test_keys_not_named_by_their_hash(key: str) -> None:
    content_hash = hash_of(b"x", key)
    assert not content_hash.is_possible
    assert not content_hash.is_pending


def test_an_abandoned_hash_wakes_waiting_tasks_without_a_verdict() -> None:
    content_hash = hash_of(b"x")
    content_hash.abandon()
    assert content_hash.settled.is_set()
    assert not content_hash.is_pending
    assert content_hash.verdict is None
