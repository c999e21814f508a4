"""Which snapshots a retention keeps: against the rules of restic forget, written down plainly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.times import DAY, HOUR
from rwm.trust.keep_policy import OFFSETS, KeepPolicy

START = 1_700_000_000_000
BUCKETS = {"hourly": "%Y-%m-%d %H", "daily": "%Y-%m-%d", "weekly": "%G-%V", "monthly": "%Y-%m", "yearly": "%Y"}


def naive(times: Sequence[int], counts: dict[str, int], last: int, within: int, offset: int) -> set[int]:
    """As restic does it: from the newest on, a snapshot is kept by each rule whose bucket is new and has a rest."""
    left = dict(counts)
    seen: dict[str, str] = {}
    kept = set()
    for number, position in enumerate(reversed(range(len(times)))):
        local = datetime.fromtimestamp((times[position] + offset) // 1000, UTC)
        if number < last or (within and times[position] > times[-1] - within):
            kept.add(position)
        for name in counts:
            bucket = local.strftime(BUCKETS[name])
            if left[name] > 0 and bucket != seen.get(name):
                seen[name] = bucket
                left[name] -= 1
                kept.add(position)
    return kept


@given(
    gaps=st.lists(st.integers(1, 40 * 24), max_size=40),
    counts=st.dictionaries(st.sampled_from(sorted(BUCKETS)), st.integers(1, 8)),
    last=st.integers(0, 5),
    within=st.integers(0, 60),
)
def test_as_restic_forgets(gaps: list[int], counts: dict[str, int], last: int, within: int) -> None:
    times = [START]
    for gap in gaps:
        times.append(times[-1] + gap * HOUR)
    rules = {f"keep-{name}": str(count) for name, count in counts.items()}
    policy = KeepPolicy({**rules, "keep-last": str(last), **({"keep-within": f"{within}d"} if within else {})})
    expected = [naive(times, counts, last, within * DAY, offset) for offset in OFFSETS]
    assert policy.surely_keeps(times) == set.intersection(*expected)


@pytest.mark.parametrize("hours", [-12, -3.5, 1, 2, 5.5, 5.75, 12.75, 14])
def test_backups_about_midnight_in_each_time_zone(hours: float) -> None:
    """A timer with a random delay: what restic removes there is not surely kept."""
    midnight, minute = START // DAY * DAY - round(hours * HOUR), HOUR // 60
    times = [midnight - 20 * minute, midnight + DAY + 20 * minute, midnight + 2 * DAY - 10 * minute]
    policy = KeepPolicy({"keep-daily": "7"})
    assert policy.keeps(times, round(hours * HOUR)) == {0, 2}
    assert policy.surely_keeps(times) == {0, 2}


def test_an_empty_policy_keeps_nothing() -> None:
    assert KeepPolicy({}).is_empty
    assert KeepPolicy({"keep-tag": "x"}).is_empty
    assert not KeepPolicy({"keep-last": "1"}).is_empty
    assert KeepPolicy({}).surely_keeps([START]) == set()
    assert KeepPolicy({"keep-last": "1"}).surely_keeps([]) == set()


def test_unlimited_keeps_one_of_each_period() -> None:
    times = [START + number * DAY for number in range(50)]
    for word in ("unlimited", "-1"):
        assert KeepPolicy({"keep-daily": word}).surely_keeps(times) == set(range(50))


def test_durations_are_those_of_restic() -> None:
    times = [START + number * DAY for number in range(100)]
    assert len(KeepPolicy({"keep-within": "2m"}).surely_keeps(times)) in range(58, 64), "m are months"
    assert len(KeepPolicy({"keep-within": "48h"}).surely_keeps(times)) == 2
    assert KeepPolicy({"keep-within": "soon"}).surely_keeps(times) == set()
    assert len(KeepPolicy({"keep-within-daily": "10d"}).surely_keeps(times)) == 10


rules = st.dictionaries(
    st.sampled_from([f"keep-{name}" for name in ("last", *BUCKETS)]), st.integers(0, 6).map(str), max_size=4
)
durations = st.dictionaries(
    st.sampled_from([f"keep-{name}" for name in ("within", "within-hourly", "within-weekly")]),
    st.sampled_from(["5h", "3d", "2m"]),
    max_size=2,
)


@given(gaps=st.lists(st.integers(0, 10 * 24), max_size=25), now=st.integers(0, 25), rules=rules, durations=durations)
def test_lifetimes_equal_the_rules_applied_after_each_time(
    gaps: list[int], now: int, rules: dict[str, str], durations: dict[str, str]
) -> None:
    times = [START]
    for gap in gaps:
        times.append(times[-1] + gap * HOUR)
    present, future = times[: now + 1], times[now + 1 :]
    policy = KeepPolicy(rules | durations)
    kept = [policy.keeps(times[: len(present) + number]) for number in range(len(future) + 1)]
    expected = [
        next((number for number, positions in enumerate(kept) if position not in positions), len(kept)) - 1
        for position in range(len(present))
    ]
    assert policy.lifetimes(present, future) == expected
    for earlier, later in pairwise(kept):
        assert later & set(range(len(present))) <= earlier, "what is not kept once is never kept again"


def test_lifetimes_of_none() -> None:
    assert KeepPolicy({"keep-last": "1"}).lifetimes([], [START]) == []
