"""Complete and ended states, compared with a model that counts each state by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import StateInfo
from rwm.prune.completeness import Completeness


def state(number: int, objects: int) -> StateInfo:
    return StateInfo(f"{number:064x}", "bucket1", number * 1000, "capture", objects, 0)


# Versions as (first state, state after the last, is it present, is it to be deleted).
versions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans()), max_size=8)


@given(versions=versions, kept=st.sets(st.integers(0, 3)))
def test_counts_equal_those_of_the_model(versions: list[tuple[int, int, bool, bool]], kept: set[int]) -> None:
    needed = [[v for v in versions if v[0] <= n < v[1]] for n in range(4)]
    states = [state(n, len(needed[n])) for n in range(4)]
    completeness = Completeness(states, [states[n] for n in kept])
    for first, after, is_present, is_deleted in versions:
        positions = range(first, after)
        if is_present:
            completeness.add_present(positions)
        if is_present and is_deleted:
            completeness.add_deleted(positions)

    present = [sum(v[2] for v in needed[n]) for n in range(4)]
    staying = [sum(v[2] and not v[3] for v in needed[n]) for n in range(4)]
    total = [len(needed[n]) for n in range(4)]
    incomplete = [(states[n], total[n] - present[n]) for n in range(4) if n in kept and present[n] < total[n]]
    ended = [
        (states[n], present[n] == total[n]) for n in range(4) if n not in kept and present[n] and staying[n] < total[n]
    ]
    assert completeness.incomplete_kept() == incomplete
    assert completeness.ended() == ended
    assert completeness.complete() == {states[n].id for n in range(4) if present[n] == total[n]}
