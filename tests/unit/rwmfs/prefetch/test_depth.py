"""The prefetch depth follows hits and misses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.prefetch.depth import MAX_PACKS, MIN_PACKS, PrefetchDepth


def test_a_miss_deepens_and_a_hit_with_all_others_buffered_flattens() -> None:
    depth = PrefetchDepth()
    assert depth.packs == MIN_PACKS
    depth.adapt(is_hit=False, are_others_buffered=False)
    assert depth.packs == MIN_PACKS + 1
    depth.adapt(is_hit=True, are_others_buffered=False)
    assert depth.packs == MIN_PACKS + 1, "the others are still in flight"
    depth.adapt(is_hit=True, are_others_buffered=True)
    assert depth.packs == MIN_PACKS


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_the_depth_is_bounded(opens: list[tuple[bool, bool]]) -> None:
    depth = PrefetchDepth()
    for is_hit, others in opens:
        depth.adapt(is_hit=is_hit, are_others_buffered=others)
        assert MIN_PACKS <= depth.packs <= MAX_PACKS


def test_both_bounds_are_reached() -> None:
    depth = PrefetchDepth()
    for is_hit, end in ((False, MAX_PACKS), (True, MIN_PACKS)):
        for _ in range(MAX_PACKS):
            depth.adapt(is_hit=is_hit, are_others_buffered=is_hit)
        assert depth.packs == end
