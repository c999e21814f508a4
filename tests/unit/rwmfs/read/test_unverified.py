"""Where unproven bytes went: a place counts as proven only when all bytes that it got are those of the verdict."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.read.unverified import UnverifiedReads


def exposed(*places: int) -> UnverifiedReads:
    exposure = UnverifiedReads()
    for place in places:
        exposure.add(place)
    return exposure


def test_a_verdict_is_about_all_places_while_nothing_left() -> None:
    exposure = exposed(1, 2)
    assert exposure
    assert exposure.proven() == {1, 2}
    assert not exposure


def test_places_that_got_what_left_unhashed_are_never_called_proven() -> None:
    exposure = exposed(1, 2)
    exposure.leave(hashed=False)
    exposure.add(3)
    assert exposure.proven() == {3}
    assert exposure.proven() == set()
    assert exposure


def test_what_left_after_it_was_hashed_is_proven_unless_another_proof_takes_over() -> None:
    for again, proven in ((False, {1, 2}), (True, {2})):
        exposure = exposed(1)
        exposure.leave(hashed=True)
        if again:
            exposure.prove_anew()
        exposure.add(2)
        assert exposure.proven() == proven


def test_another_proof_of_bytes_that_all_stayed_is_about_all_places() -> None:
    exposure = exposed(1)
    exposure.prove_anew()
    assert exposure.proven() == {1}


def test_what_left_before_a_verdict_is_no_doubt_after_it() -> None:
    exposure = exposed(1)
    exposure.leave(hashed=True)
    assert exposure.proven() == {1}
    exposure.add(2)
    exposure.prove_anew()
    assert exposure.proven() == {2}


def test_wrong_content_ends_all_of_it() -> None:
    exposure = exposed(1)
    exposure.leave(hashed=False)
    exposure.clear()
    assert not exposure
    exposure.add(1)
    exposure.prove_anew()
    assert exposure.proven() == {1}


steps = st.sampled_from(["read", "read", "hash", "leave", "anew", "verdict"])


@settings(max_examples=1000)
@given(st.lists(st.tuples(steps, st.integers(0, 1)), min_size=5))
def test_no_place_is_called_proven_that_has_bytes_of_another_hashing(doing: list[tuple[str, int]]) -> None:
    """Of an object of one piece: whenever it comes it may be other bytes, here told apart by a number."""
    exposure = UnverifiedReads()
    piece, is_here, is_read, is_hashed = 0, False, False, False
    has: dict[int, set[int]] = {}
    for step, place in doing:
        if step == "read":
            if not is_here:
                if is_hashed:
                    exposure.prove_anew()
                piece, is_here, is_read, is_hashed = piece + 1, True, False, False
            exposure.add(place)
            has.setdefault(place, set()).add(piece)
            is_read = True
        elif step == "hash":
            is_hashed = is_hashed or is_here
        elif step == "leave" and is_here:
            if is_read:
                exposure.leave(hashed=is_hashed)
            is_here = False
        elif step == "anew":
            exposure.prove_anew()
            is_hashed = False
        elif step == "verdict" and is_hashed:
            for right in exposure.proven():
                assert has.pop(right) == {piece}
