"""The prediction of the next packs: confidence grows with the run and falls with misses."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.prefetch.upload_order import MAX_CONFIDENCE, MAX_DISTANCE, MIN_CONFIDENCE, UploadOrderPrediction

RESTIC = [0, 1, 4, 6, 2, 5, 3, 8, 7, 9, 10, 11, 13, 12, 14, 15, 18, 19, 16, 17, 24, 21, 23, 20, 22, 27, 25, 26, 29, 28]
"""The ranks of a full restore, as measured."""

AHEAD = 4

near = st.lists(st.integers(0, 60), max_size=60)
jumps = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 8)), max_size=20).map(
    lambda runs: [first + number for first, count in runs for number in range(count)]
)


def follow(opens: list[int], ahead: int = AHEAD) -> tuple[set[int], set[int]]:
    """All predicted ranks, and the wrong ones among them, with at most ``ahead`` prefetched at a time."""
    prediction, predicted, wrong, seen = UploadOrderPrediction(), set[int](), set[int](), set[int]()
    prefetched: set[int] = set()
    for rank in opens:
        prediction.record_open(rank)
        seen.add(rank)
        prefetched.discard(rank)
        mispredicted = prediction.take_mispredicted()
        assert prefetched.issuperset(mispredicted), "each is reported once, and only if it was predicted and not opened"
        prefetched.difference_update(mispredicted)
        wrong.update(mispredicted)
        for upcoming in prediction.upcoming(ahead - len(prefetched)):
            assert upcoming not in seen
            assert upcoming not in prefetched
            prediction.record_prefetch(upcoming)
            prefetched.add(upcoming)
            predicted.add(upcoming)
        assert len(prefetched) <= ahead
        if not prediction.is_confident:
            assert not prefetched
    return predicted, wrong


@settings(deadline=None)
@given(near | jumps)
def test_opened_ranks_are_not_predicted_and_prefetches_are_bounded(opens: list[int]) -> None:
    follow(opens)


@settings(deadline=None)
@given(st.permutations(range(100)) | jumps)
def test_wrong_predictions_are_bounded_by_the_opens_in_order(opens: list[int]) -> None:
    """Confidence takes several opens close to each other, and after each loss as many again."""
    in_order = sum(abs(rank - before) <= 2 * MAX_DISTANCE for before, rank in pairwise(opens))
    _, wrong = follow(opens)
    assert len(wrong) <= AHEAD * (1 + in_order // (MIN_CONFIDENCE - 1))


def test_a_restore_is_predicted_almost_from_its_start() -> None:
    predicted, wrong = follow(RESTIC)
    assert not wrong
    assert len(predicted & set(RESTIC)) >= len(RESTIC) - 8


def test_opens_far_from_each_other_predict_nothing() -> None:
    assert follow([number * (MAX_DISTANCE + 1) for number in range(200)]) == (set(), set())
    assert follow(list(range(500, 0, -MAX_DISTANCE - 1))) == (set(), set())


def test_a_few_opens_out_of_order_do_not_end_a_long_run() -> None:
    prediction = UploadOrderPrediction()
    for rank in range(MAX_CONFIDENCE + 10):
        prediction.record_open(rank)
    for rank in (1000, 2000):
        prediction.record_open(rank)
    assert list(prediction.upcoming(2)) == [MAX_CONFIDENCE + 10, MAX_CONFIDENCE + 11]
    for rank in range(3000, 9000, 1000):
        prediction.record_open(rank)
    assert list(prediction.upcoming(2)) == []


def test_a_repeated_open_changes_nothing() -> None:
    prediction = UploadOrderPrediction()
    for _ in range(50):
        prediction.record_open(7)
    assert list(prediction.upcoming(1)) == []
    for rank in range(8, 8 + MIN_CONFIDENCE - 1):
        prediction.record_open(rank)
    for _ in range(50):
        prediction.record_open(7)
    assert list(prediction.upcoming(1)) == [8 + MIN_CONFIDENCE - 1]


def test_ranks_that_the_run_has_passed_are_mispredicted() -> None:
    prediction = UploadOrderPrediction()
    for rank in range(MIN_CONFIDENCE):
        prediction.record_open(rank)
    for rank in list(prediction.upcoming(3)):
        prediction.record_prefetch(rank)
    for rank in range(MIN_CONFIDENCE + 3, MIN_CONFIDENCE + MAX_DISTANCE + 1):
        prediction.record_open(rank)
    assert not prediction.take_mispredicted(), "still within MAX_DISTANCE"
    for rank in range(MIN_CONFIDENCE + MAX_DISTANCE + 1, MIN_CONFIDENCE + MAX_DISTANCE + 4):
        prediction.record_open(rank)
    assert sorted(prediction.take_mispredicted()) == [MIN_CONFIDENCE, MIN_CONFIDENCE + 1, MIN_CONFIDENCE + 2]
    assert not prediction.take_mispredicted()
