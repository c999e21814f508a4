"""Which states the keep rules keep: against a plain model, and what states that are not clean do to the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import RecordedState, StateInfo, Trust
from rwm.retention.selection import apply_rules, candidates
from rwm.times import DAY, HOUR, SECOND
from rwm.trust import KeepPolicy
from tests.keeping import keep_last

START = 1_700_000_000_000
FORMATS = {"hourly": "%Y-%m-%d %H", "daily": "%Y-%m-%d", "weekly": "%G-%V", "monthly": "%Y-%m", "yearly": "%Y"}


def make_states(times: Sequence[int], empty: Sequence[int] = ()) -> list[StateInfo]:
    return [
        StateInfo(f"{n:064x}", "bucket1", time, "backup", 0 if n in empty else 1, 1) for n, time in enumerate(times)
    ]


def names(states: Sequence[StateInfo]) -> list[int]:
    return [int(info.id, 16) for info in states]


def model(times: Sequence[int], rules: dict[str, str]) -> set[int]:
    """Of each rule: the newest state of each of its newest periods."""
    kept: set[int] = set()
    for name, value in rules.items():
        if name == "last":
            kept |= set(range(len(times))[max(0, len(times) - int(value)) :])
        elif name == "within":
            kept |= {n for n, time in enumerate(times) if time > times[-1] - int(value[:-1]) * DAY}
        else:
            newest = {
                datetime.fromtimestamp(time / SECOND, UTC).strftime(FORMATS[name]): n for n, time in enumerate(times)
            }
            kept |= set(sorted(newest.values(), reverse=True)[: int(value)])
    return kept


rules_of_any_kind = st.dictionaries(
    st.sampled_from(["last", *FORMATS]), st.integers(0, 5).map(str), min_size=1
).flatmap(lambda counts: st.sampled_from([counts, counts | {"within": "3d"}]))


@given(gaps=st.lists(st.integers(1, 20 * 24), max_size=30), dirty=st.sets(st.integers(0, 30)), rules=rules_of_any_kind)
def test_the_rules_equal_the_model_applied_to_the_clean_states(
    gaps: list[int], dirty: set[int], rules: dict[str, str]
) -> None:
    times = [START]
    for gap in gaps:
        times.append(times[-1] + gap * HOUR)
    states = make_states(times)
    clean = [n for n in range(len(times)) if n not in dirty]
    expected = {clean[n] for n in model([times[n] for n in clean], rules)} if clean else set()
    kept = names(apply_rules(states, KeepPolicy(rules), lambda info: int(info.id, 16) not in dirty))
    assert kept == sorted(expected | (dirty & set(range(len(times)))))


@given(count=st.integers(1, 40), position=st.integers(0, 40), rules=rules_of_any_kind)
def test_states_that_are_not_clean_push_out_no_clean_one(count: int, position: int, rules: dict[str, str]) -> None:
    """An attacker writes a flood of states at any time."""
    good = [START + n * DAY for n in range(40)]
    flood = [START + position * DAY + HOUR + n * SECOND for n in range(count)]
    states = make_states(sorted([*good, *flood]))
    policy = KeepPolicy(rules)
    before = {info.captured_at for info in apply_rules(make_states(good), policy, lambda info: True)}
    after = {info.captured_at for info in apply_rules(states, policy, lambda info: info.captured_at not in flood)}
    assert before <= after and after - before == set(flood)


def test_an_acknowledged_state_takes_a_slot_again() -> None:
    states = make_states([START, START + DAY, START + 2 * DAY])
    assert names(apply_rules(states, keep_last(1), lambda info: info is not states[1])) == [1, 2]
    assert names(apply_rules(states, keep_last(1), lambda info: True)) == [2]


@pytest.mark.parametrize(("empty", "kept"), [([0], [2]), ([1, 2], [0, 1, 2]), ([2], [1, 2]), ([0, 1, 2], [0, 1, 2])])
def test_a_state_without_objects_fills_no_slot(empty: list[int], kept: list[int]) -> None:
    states = make_states([START, START + DAY, START + 2 * DAY], empty)
    assert names(apply_rules(states, keep_last(1), lambda info: True)) == kept


@pytest.mark.parametrize(
    ("trust", "expected"),
    [
        (["own", "unchecked", "verified", "contradicted", "unknown"], [0, 2]),
        (["unchecked", "contradicted", "unchecked"], [0, 2]),
        (["contradicted", "unknown"], []),
    ],
)
def test_unchecked_states_count_only_where_none_is_confirmed(trust: list[Trust], expected: list[int]) -> None:
    """The machine may have written them, so as to fill the slots of true ones."""
    states = make_states([START + n * DAY for n in range(len(trust))])
    recorded = [RecordedState(info, each) for info, each in zip(states, trust, strict=True)]
    assert names(candidates(recorded)) == expected
