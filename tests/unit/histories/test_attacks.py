"""Each attack breaks an invariant, or deliberately breaks none; so do pairs of attacks."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.histories.attacks import ATTACKS, Trace, attack, highest
from tests.histories.generator import History, generate
from tests.histories.restic import REFRESH
from tests.unit.histories.invariants import violations


def honest(seed: int, **options: bool) -> History:
    return generate(seed, operations=15, clock="exact", removes_evidence=False, removes_locks=False, **options)


def broken_keys(history: History) -> set[str]:
    versions = history.versions
    return {v.key for r in history.repositories for v in violations(versions, r, grace=REFRESH, contents=False)}


def assert_shown(history: History, traces: list[Trace]) -> None:
    """The invariants convict the attacks that a proof is expected of, and no other."""
    broken = broken_keys(history)
    for trace in traces:
        if trace.expected == "proof":
            assert broken & trace.keys, (trace, history.log)
    if highest(traces) != "proof":
        assert not broken, (traces, history.log)


@pytest.mark.parametrize("name", list(ATTACKS))
def test_an_attack_is_shown(name: str) -> None:
    attacked = 0
    for seed in range(6):
        history = honest(seed, rustic=seed == 5)
        before = set(history.versions)
        trace = attack(history, name)
        assert trace.why
        assert bool(trace.keys) == (set(history.versions) != before) or not trace.keys
        assert_shown(history, [trace])
        attacked += bool(trace.keys)
        history.go_on(3)
        if trace.expected == "proof":
            assert broken_keys(history) & trace.keys
    assert attacked >= 3 or "state" in name


def test_pairs_of_attacks_are_shown() -> None:
    pairs = random.Random(1).sample(list(itertools.product(ATTACKS, repeat=2)), 150)
    for seed, names in enumerate(pairs):
        history = honest(seed % 10, rustic=False)
        assert_shown(history, [attack(history, name) for name in names])


def test_attacks_are_told_from_their_absence() -> None:
    names = {trace.name for trace in (attack(honest(1, rustic=False), name) for name in ATTACKS) if trace.keys}
    assert len(names) > 50
    assert {a.expected for a in ATTACKS.values()} == {"proof", "hint", "nothing"}
