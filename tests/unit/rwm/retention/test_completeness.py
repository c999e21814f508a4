"""Which states are whole, and which a plan would end, against counting them one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import StateInfo
from rwm.retention.completeness import Completeness


def state(number: int, objects: int) -> StateInfo:
    return StateInfo(f"{number:064x}", "bucket1", number * 1000, "capture", objects, 0)


# Versions as (first state, state after the last, is it in the bucket, is it doomed).
versions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans()), max_size=8)


@given(versions=versions, kept=st.sets(st.integers(0, 3)))
def test_counts_are_those_of_a_plain_model(versions: list[tuple[int, int, bool, bool]], kept: set[int]) -> None:
    needed = [[v for v in versions if v[0] <= n < v[1]] for n in range(4)]
    states = [state(n, len(needed[n])) for n in range(4)]
    tally = Completeness(states, [states[n] for n in kept])
    for first, after, present, doomed in versions:
        numbers = range(first, after)
        assert tally.is_kept(numbers) == bool(kept & set(numbers))
        if present:
            tally.there(numbers)
        if present and doomed:
            tally.doomed(numbers)

    there = [sum(v[2] for v in needed[n]) for n in range(4)]
    staying = [sum(v[2] and not v[3] for v in needed[n]) for n in range(4)]
    total = [len(needed[n]) for n in range(4)]
    missing = [(states[n], total[n] - there[n]) for n in range(4) if n in kept and there[n] < total[n]]
    ending = [
        (states[n], there[n] == total[n]) for n in range(4) if n not in kept and there[n] and staying[n] < total[n]
    ]
    assert tally.missing() == missing
    assert tally.ending() == ending
