"""Pieces of an object: they cover any range without gap or overlap, and what is missing is found."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.cache.block_file import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.read.pieces import BufferedObject, Piece, cut
from rwmfs.read.request_size import MOST
from rwmfs.read.request_size import USUAL as WINDOW

LARGEST = 3 * WINDOW
DATA = random.Random(2).randbytes(LARGEST)

sizes = st.integers(0, LARGEST) | st.integers(0, LARGEST // BLOCK).map(lambda count: count * BLOCK)
places = st.integers(0, LARGEST + BLOCK) | st.integers(0, LARGEST // BLOCK + 1).map(lambda count: count * BLOCK)
ranges = st.lists(st.tuples(places, places).map(lambda pair: (min(pair), max(pair))), max_size=6)


def held_of(size: int) -> BufferedObject:
    return BufferedObject(ObjectId("key", "v1", size, "etag"))


def filled(piece: Piece) -> Piece:
    piece.data = memoryview(DATA)[piece.start : piece.stop]
    piece.done.set()
    return piece


@settings(deadline=None)
@given(sizes, ranges)
def test_what_is_missing_and_what_is_there_make_up_any_range(size: int, asked: list[tuple[int, int]]) -> None:
    held = held_of(size)
    for start, stop in asked:
        stop = min(stop, size)
        before = set(held.pieces.values())
        for part in held.missing(start, stop):
            assert part[0] % BLOCK == 0
            assert part[1] % BLOCK == 0 or part[1] == size
            assert 0 < part[1] - part[0] <= WINDOW
            assert not any(piece.overlap(*part) for piece in held.pieces.values())
            filled(held.add(*part))
        assert not any(held.missing(start, stop))
        pieces = list(held.covering(start, stop))
        assert pieces == sorted(set(pieces), key=lambda piece: piece.start)
        assert all(piece in before or piece.overlap(start, stop) for piece in pieces)
        if start < stop:
            assert cut(pieces, start, stop) == DATA[start:stop]
        else:
            assert not pieces


@settings(deadline=None)
@given(sizes, ranges, st.randoms(use_true_random=False))
def test_what_is_removed_is_missing_again(size: int, asked: list[tuple[int, int]], chance: random.Random) -> None:
    held = held_of(size)
    for start, stop in asked:
        for part in held.missing(start, stop):
            held.add(*part)
    pieces = sorted(set(held.pieces.values()), key=lambda piece: piece.start)
    chance.shuffle(pieces)
    for number, piece in enumerate(pieces, 1):
        held.remove(piece)
        assert any(held.missing(piece.start, piece.stop))
        assert set(held.pieces.values()) == set(pieces[number:])
    assert not held.pieces


def test_nothing_is_missing_past_the_end_or_of_an_empty_object() -> None:
    assert list(held_of(0).missing(0, 100)) == []
    assert list(held_of(100).missing(100, 200)) == []
    assert list(held_of(100).missing(0, 10**9)) == [(0, 100)]
    assert list(held_of(2 * WINDOW).missing(0, 10**9)) == [(0, WINDOW), (WINDOW, 2 * WINDOW)]


def test_a_small_rest_comes_with_what_is_before_it_over_a_fast_link() -> None:
    for rest in (BLOCK, MOST // 4):
        assert list(held_of(MOST + rest).missing(0, 10**9, MOST)) == [(0, MOST + rest)]
        assert list(held_of(3 * MOST + rest).missing(MOST, 10**9, MOST)) == [
            (MOST, 2 * MOST),
            (2 * MOST, 3 * MOST + rest),
        ]
    beyond = MOST // 4 + BLOCK
    assert list(held_of(MOST + beyond).missing(0, 10**9, MOST)) == [(0, MOST), (MOST, MOST + beyond)]
    held = held_of(2 * MOST)
    held.add(MOST + BLOCK, MOST + 2 * BLOCK)
    assert list(held.missing(0, MOST + 2 * BLOCK, MOST)) == [(0, MOST + BLOCK)], "up to what is there"
    assert list(held_of(WINDOW + BLOCK).missing(0, 10**9)) == [(0, WINDOW), (WINDOW, WINDOW + BLOCK)], "a slow link"


def test_a_range_of_one_piece_is_a_view_and_what_was_used_is_counted() -> None:
    piece = filled(held_of(BLOCK).add(0, BLOCK))
    found = cut([piece], 10, 30)
    assert isinstance(found, memoryview)
    assert found == DATA[10:30]
    assert piece.used == 20
    assert len(piece) == BLOCK
    assert (piece.overlap(10, 30), piece.overlap(BLOCK, 2 * BLOCK)) == (20, 0)


def test_what_is_at_a_position_is_known_once_it_is_here() -> None:
    held = held_of(3 * BLOCK)
    piece = held.add(BLOCK, 3 * BLOCK)
    assert held.at(BLOCK) is None
    filled(piece)
    assert held.at(BLOCK) is held.at(3 * BLOCK - 1) is piece
    assert held.at(0) is None


# --- what becomes of a proof ---------------------------------------------------------------------------------


def test_a_proof_that_is_replaced_keeps_nobody_waiting() -> None:
    held = held_of(BLOCK)
    before = held.proof
    held.make_whole()
    assert held.whole
    assert before.settled.is_set()
    assert held.proof is not before
    now = held.proof
    held.make_whole()
    assert held.proof is now, "it was whole already"
    held.remove(held.add(0, BLOCK))
    assert now.settled.is_set()
    assert held.proof is not now


def test_of_an_object_in_parts_what_leaves_is_proven_already_and_may_not_come_back_unseen() -> None:
    held = held_of(2 * BLOCK)
    proof, piece = held.proof, filled(held.add(0, BLOCK))
    assert piece.data is not None
    proof.add(piece.data)
    held.remove(piece)
    assert held.proof is proof, "the rest can be proven still"
    held.add(BLOCK, 2 * BLOCK)
    assert held.proof is proof
    held.add(0, BLOCK)
    assert held.proof is not proof


def test_what_was_handed_out_and_leaves_unhashed_is_beyond_a_verdict() -> None:
    held = held_of(2 * BLOCK)
    held.exposure.add(1)
    piece = filled(held.add(0, BLOCK))
    cut([piece], 0, 100)
    held.remove(piece)  # it may come back otherwise, and be hashed then
    assert held.exposure.proven() == set()
    held.reject()
    assert (held.spoiled, bool(held.exposure)) == (1, False)


def test_what_was_hashed_by_a_proof_that_is_given_up_is_so_too() -> None:
    held = held_of(2 * BLOCK)
    piece = filled(held.add(0, BLOCK))
    assert piece.data is not None
    held.proof.add(piece.data)
    cut([piece], 0, 100)
    held.exposure.add(1)
    held.remove(piece)
    held.exposure.add(2)
    held.add(0, BLOCK)
    held.exposure.add(3)
    assert held.exposure.proven() == {3}


def test_content_that_is_wrong_before_anybody_got_some_spoils_nothing() -> None:
    held = held_of(BLOCK)
    held.reject()
    assert (held.rejected, held.spoiled) == (1, 0)


def test_what_was_proven_and_leaves_is_proven_again() -> None:
    held = held_of(BLOCK)
    proof, piece = held.proof, filled(held.add(0, BLOCK))
    assert piece.data is not None
    proof.add(piece.data)
    proof.settle()
    held.remove(piece)
    assert held.proof is not proof
