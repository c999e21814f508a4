"""As many packs ahead as nobody has to wait for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwmfs.prefetch.depth import FEW, MOST, PrefetchDepth


def test_more_when_a_pack_is_waited_for_and_less_when_none_is_on_its_way() -> None:
    lead = PrefetchDepth()
    assert lead.packs == FEW
    lead.opened(is_here=False, others_are=False)
    assert lead.packs == FEW + 1
    lead.opened(is_here=True, others_are=False)
    assert lead.packs == FEW + 1, "the others are still needed in time"
    lead.opened(is_here=True, others_are=True)
    assert lead.packs == FEW


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_it_stays_between_few_and_most(opens: list[tuple[bool, bool]]) -> None:
    lead = PrefetchDepth()
    for is_here, others_are in opens:
        lead.opened(is_here=is_here, others_are=others_are)
        assert FEW <= lead.packs <= MOST


def test_it_comes_to_either_end() -> None:
    lead = PrefetchDepth()
    for is_here, end in ((False, MOST), (True, FEW)):
        for _ in range(MOST):
            lead.opened(is_here=is_here, others_are=is_here)
        assert lead.packs == end
