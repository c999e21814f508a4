"""The name of an object proves its content, in parts of any sizes."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.object_id import ObjectId
from rwmfs.read.content_hash import ContentHash


def proof_of(data: bytes, key: str = "data/{:.2}/{}") -> ContentHash:
    name = hashlib.sha256(data).hexdigest()
    return ContentHash(ObjectId(key.format(name, name), "v1", len(data), "etag"))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 300)), st.integers(0, 299), st.booleans())
def test_the_right_bytes_and_no_others(data: bytes, cuts: list[int], place: int, damaged: bool) -> None:
    proof = proof_of(data)
    found = bytearray(data)
    if damaged:
        found[place % len(data)] ^= 1
    for start, stop in pairwise(sorted({0, len(data), *(place for place in cuts if place < len(data))})):
        assert proof.open
        assert not proof.complete
        assert proof.position == start
        proof.add(memoryview(found)[start:stop])
    assert proof.complete
    assert not proof.settled.is_set(), "before somebody says what came out"
    proof.settle()
    assert proof.settled.is_set()
    assert proof.verdict is not damaged


def test_what_is_vouched_for_needs_no_hash() -> None:
    proof = proof_of(b"right")
    proof.vouch(2)
    assert proof.position == 2
    proof.vouch(3)
    proof.settle()
    assert proof.verdict is True


@pytest.mark.parametrize("data", [b"right", b"wrong"])
def test_when_a_part_is_not_vouched_for_all_of_it_is_hashed(data: bytes) -> None:
    proof = proof_of(b"right")
    proof.vouch(2)
    proof.hash_all()
    assert proof.position == 0
    assert proof.hashing
    proof.add(memoryview(data))
    proof.settle()
    assert proof.verdict is (data == b"right")


def test_what_is_not_complete_is_not_right() -> None:
    proof = proof_of(b"right")
    proof.vouch(2)
    proof.settle()
    assert proof.verdict is False


@pytest.mark.parametrize("key", ["index/{1}", "snapshots/{1}", "keys/{1}", "host1/data/{0:.2}/{1}"])
def test_names_that_prove(key: str) -> None:
    assert proof_of(b"x", key).open


@pytest.mark.parametrize("key", ["config", "locks/{1}", "data/{1}", "other/{1}", "data/zz/{1}x"])
def test_names_that_prove_nothing(key: str) -> None:
    proof = proof_of(b"x", key)
    assert not proof.possible
    assert not proof.open


def test_a_proof_that_is_given_up_has_no_verdict_and_keeps_nobody_waiting() -> None:
    proof = proof_of(b"x")
    proof.give_up()
    assert proof.settled.is_set()
    assert not proof.open
    assert proof.verdict is None
