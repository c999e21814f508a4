"""Pieces of an object cover any range without gap or overlap; missing parts are found."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.cache import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.read.pieces import BufferedObject, Piece, join_range
from rwmfs.read.request_size import DEFAULT_REQUEST_SIZE as SIZE
from rwmfs.read.request_size import MAX_REQUEST_SIZE as MAX_SIZE

LARGEST = 3 * SIZE
DATA = random.Random(2).randbytes(LARGEST)

sizes = st.integers(0, LARGEST) | st.integers(0, LARGEST // BLOCK).map(lambda count: count * BLOCK)
offsets = st.integers(0, LARGEST + BLOCK) | st.integers(0, LARGEST // BLOCK + 1).map(lambda count: count * BLOCK)
ranges = st.lists(st.tuples(offsets, offsets).map(lambda pair: (min(pair), max(pair))), max_size=6)


def object_of(size: int) -> BufferedObject:
    return BufferedObject(ObjectId("key", "v1", size, "etag"))


def filled(piece: Piece) -> Piece:
    piece.data = memoryview(DATA)[piece.start : piece.stop]
    piece.done.set()
    return piece


@settings(deadline=None)
@given(sizes, ranges)
def test_missing_and_present_parts_cover_any_range(size: int, asked: list[tuple[int, int]]) -> None:
    buffered = object_of(size)
    for start, stop in asked:
        stop = min(stop, size)
        before = set(buffered.pieces.values())
        for part in buffered.missing(start, stop):
            assert part[0] % BLOCK == 0
            assert part[1] % BLOCK == 0 or part[1] == size
            assert 0 < part[1] - part[0] <= SIZE
            assert not any(piece.overlap(*part) for piece in buffered.pieces.values())
            filled(buffered.add(*part))
        assert not any(buffered.missing(start, stop))
        pieces = list(buffered.covering(start, stop))
        assert pieces == sorted(set(pieces), key=lambda piece: piece.start)
        assert all(piece in before or piece.overlap(start, stop) for piece in pieces)
        if start < stop:
            assert join_range(pieces, start, stop) == DATA[start:stop]
        else:
            assert not pieces


@settings(deadline=None)
@given(sizes, ranges, st.randoms(use_true_random=False))
def test_removed_pieces_are_missing(size: int, asked: list[tuple[int, int]], chance: random.Random) -> None:
    buffered = object_of(size)
    for start, stop in asked:
        for part in buffered.missing(start, stop):
            buffered.add(*part)
    pieces = sorted(set(buffered.pieces.values()), key=lambda piece: piece.start)
    chance.shuffle(pieces)
    for number, piece in enumerate(pieces, 1):
        buffered.remove(piece)
        assert any(buffered.missing(piece.start, piece.stop))
        assert set(buffered.pieces.values()) == set(pieces[number:])
    assert not buffered.pieces


def test_missing_ends_with_the_object() -> None:
    assert list(object_of(0).missing(0, 100)) == []
    assert list(object_of(100).missing(100, 200)) == []
    assert list(object_of(100).missing(0, 10**9)) == [(0, 100)]
    assert list(object_of(2 * SIZE).missing(0, 10**9)) == [(0, SIZE), (SIZE, 2 * SIZE)]


def test_a_short_remainder_is_joined_to_a_large_request() -> None:
    for rest in (BLOCK, MAX_SIZE // 4):
        assert list(object_of(MAX_SIZE + rest).missing(0, 10**9, MAX_SIZE)) == [(0, MAX_SIZE + rest)]
        assert list(object_of(3 * MAX_SIZE + rest).missing(MAX_SIZE, 10**9, MAX_SIZE)) == [
            (MAX_SIZE, 2 * MAX_SIZE),
            (2 * MAX_SIZE, 3 * MAX_SIZE + rest),
        ]
    beyond = MAX_SIZE // 4 + BLOCK
    assert list(object_of(MAX_SIZE + beyond).missing(0, 10**9, MAX_SIZE)) == [
        (0, MAX_SIZE),
        (MAX_SIZE, MAX_SIZE + beyond),
    ]
    buffered = object_of(2 * MAX_SIZE)
    buffered.add(MAX_SIZE + BLOCK, MAX_SIZE + 2 * BLOCK)
    assert list(buffered.missing(0, MAX_SIZE + 2 * BLOCK, MAX_SIZE)) == [(0, MAX_SIZE + BLOCK)], (
        "up to the piece that is there"
    )
    assert list(object_of(SIZE + BLOCK).missing(0, 10**9)) == [(0, SIZE), (SIZE, SIZE + BLOCK)], "not over a slow link"


def test_a_range_of_one_piece_is_a_view_and_counts_as_read() -> None:
    piece = filled(object_of(BLOCK).add(0, BLOCK))
    found = join_range([piece], 10, 30)
    assert isinstance(found, memoryview)
    assert found == DATA[10:30]
    assert piece.bytes_read == 20
    assert len(piece) == BLOCK
    assert (piece.overlap(10, 30), piece.overlap(BLOCK, 2 * BLOCK)) == (20, 0)


def test_piece_at_finds_pieces_with_data() -> None:
    buffered = object_of(3 * BLOCK)
    piece = buffered.add(BLOCK, 3 * BLOCK)
    assert buffered.piece_at(BLOCK) is None
    filled(piece)
    assert buffered.piece_at(BLOCK) is buffered.piece_at(3 * BLOCK - 1) is piece
    assert buffered.piece_at(0) is None


# --- what becomes of a content_hash ---------------------------------------------------------------------------------


def test_a_replaced_hash_wakes_waiting_tasks() -> None:
    buffered = object_of(BLOCK)
    before = buffered.content_hash
    buffered.require_whole()
    assert buffered.whole
    assert before.settled.is_set()
    assert buffered.content_hash is not before
    now = buffered.content_hash
    buffered.require_whole()
    assert buffered.content_hash is now, "it was whole already"
    buffered.remove(buffered.add(0, BLOCK))
    assert now.settled.is_set()
    assert buffered.content_hash is not now


def test_the_hash_survives_the_removal_of_a_piece_but_not_its_return() -> None:
    buffered = object_of(2 * BLOCK)
    content_hash, piece = buffered.content_hash, filled(buffered.add(0, BLOCK))
    assert piece.data is not None
    content_hash.update(piece.data)
    buffered.remove(piece)
    assert buffered.content_hash is content_hash, "the rest can still be verified"
    buffered.add(BLOCK, 2 * BLOCK)
    assert buffered.content_hash is content_hash
    buffered.add(0, BLOCK)
    assert buffered.content_hash is not content_hash


def test_bytes_read_and_removed_unhashed_are_never_verified() -> None:
    buffered = object_of(2 * BLOCK)
    buffered.unverified_reads.add(1)
    piece = filled(buffered.add(0, BLOCK))
    join_range([piece], 0, 100)
    buffered.remove(piece)  # it may come back otherwise, and be hashed then
    assert buffered.unverified_reads.take_verified() == set()
    buffered.reject()
    assert (buffered.exposed_mismatches, bool(buffered.unverified_reads)) == (1, False)


def test_bytes_hashed_by_an_abandoned_hash_are_never_verified() -> None:
    buffered = object_of(2 * BLOCK)
    piece = filled(buffered.add(0, BLOCK))
    assert piece.data is not None
    buffered.content_hash.update(piece.data)
    join_range([piece], 0, 100)
    buffered.unverified_reads.add(1)
    buffered.remove(piece)
    buffered.unverified_reads.add(2)
    buffered.add(0, BLOCK)
    buffered.unverified_reads.add(3)
    assert buffered.unverified_reads.take_verified() == {3}


def test_a_mismatch_before_any_read_taints_no_handle() -> None:
    buffered = object_of(BLOCK)
    buffered.reject()
    assert (buffered.mismatches, buffered.exposed_mismatches) == (1, 0)


def test_removing_a_verified_piece_restarts_the_hash() -> None:
    buffered = object_of(BLOCK)
    content_hash, piece = buffered.content_hash, filled(buffered.add(0, BLOCK))
    assert piece.data is not None
    content_hash.update(piece.data)
    content_hash.settle()
    buffered.remove(piece)
    assert buffered.content_hash is not content_hash
