"""Which packs are opened next: told from the order so far, and not believed for long when it does not come true."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.prefetch.upload_order import BELIEVED, REACH, STRONGEST, UploadOrderPrediction

RESTIC = [0, 1, 4, 6, 2, 5, 3, 8, 7, 9, 10, 11, 13, 12, 14, 15, 18, 19, 16, 17, 24, 21, 23, 20, 22, 27, 25, 26, 29, 28]
"""A full restore, as it was measured."""

AHEAD = 4

near = st.lists(st.integers(0, 60), max_size=60)
jumps = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 8)), max_size=20).map(
    lambda runs: [first + number for first, count in runs for number in range(count)]
)


def follow(opens: list[int], ahead: int = AHEAD) -> tuple[set[int], set[int]]:
    """All that was foretold, and of it what did not come true, when at most ``ahead`` are foretold at a time."""
    prediction, foretold, wrong, seen = UploadOrderPrediction(), set[int](), set[int](), set[int]()
    under_way: set[int] = set()
    for rank in opens:
        prediction.opened(rank)
        seen.add(rank)
        under_way.discard(rank)
        passed = prediction.passed()
        assert under_way.issuperset(passed), "each is said once, and only what was foretold and was not opened"
        under_way.difference_update(passed)
        wrong.update(passed)
        for upcoming in prediction.upcoming(ahead - len(under_way)):
            assert upcoming not in seen
            assert upcoming not in under_way
            prediction.foretold(upcoming)
            under_way.add(upcoming)
            foretold.add(upcoming)
        assert len(under_way) <= ahead
        if not prediction.holds:
            assert not under_way
    return foretold, wrong


@settings(deadline=None)
@given(near | jumps)
def test_what_was_opened_is_never_foretold_and_little_is_under_way(opens: list[int]) -> None:
    follow(opens)


@settings(deadline=None)
@given(st.permutations(range(100)) | jumps)
def test_what_is_foretold_wrong_is_bounded_by_what_fits_into_an_order(opens: list[int]) -> None:
    """To be believed takes opens close to each other, and each loss of belief takes as many again."""
    in_order = sum(abs(rank - before) <= 2 * REACH for before, rank in pairwise(opens))
    _, wrong = follow(opens)
    assert len(wrong) <= AHEAD * (1 + in_order // (BELIEVED - 1))


def test_a_restore_is_foretold_almost_from_its_start_and_nothing_wrong() -> None:
    foretold, wrong = follow(RESTIC)
    assert not wrong
    assert len(foretold & set(RESTIC)) >= len(RESTIC) - 8


def test_opens_that_are_far_from_each_other_foretell_nothing() -> None:
    assert follow([number * (REACH + 1) for number in range(200)]) == (set(), set())
    assert follow(list(range(500, 0, -REACH - 1))) == (set(), set())


def test_a_few_out_of_order_do_not_end_a_run_that_was_long() -> None:
    prediction = UploadOrderPrediction()
    for rank in range(STRONGEST + 10):
        prediction.opened(rank)
    for rank in (1000, 2000):
        prediction.opened(rank)
    assert list(prediction.upcoming(2)) == [STRONGEST + 10, STRONGEST + 11]
    for rank in range(3000, 9000, 1000):
        prediction.opened(rank)
    assert list(prediction.upcoming(2)) == []


def test_one_that_is_opened_again_tells_nothing() -> None:
    prediction = UploadOrderPrediction()
    for _ in range(50):
        prediction.opened(7)
    assert list(prediction.upcoming(1)) == []
    for rank in range(8, 8 + BELIEVED - 1):
        prediction.opened(rank)
    for _ in range(50):
        prediction.opened(7)
    assert list(prediction.upcoming(1)) == [8 + BELIEVED - 1]


def test_what_a_run_leaves_behind_takes_its_belief() -> None:
    prediction = UploadOrderPrediction()
    for rank in range(BELIEVED):
        prediction.opened(rank)
    for rank in list(prediction.upcoming(3)):
        prediction.foretold(rank)
    for rank in range(BELIEVED + 3, BELIEVED + REACH + 1):
        prediction.opened(rank)
    assert not prediction.passed(), "they are near enough to come still"
    for rank in range(BELIEVED + REACH + 1, BELIEVED + REACH + 4):
        prediction.opened(rank)
    assert sorted(prediction.passed()) == [BELIEVED, BELIEVED + 1, BELIEVED + 2]
    assert not prediction.passed()
