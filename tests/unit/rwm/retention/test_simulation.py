"""What the keep rules will keep: against prunes that really happen one after the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import StateInfo
from rwm.retention.simulation import MAX_STATES, find_rhythm, simulate
from rwm.times import DAY, HOUR, SECOND
from rwm.trust import KeepPolicy
from tests.keeping import keep_last

START = 1_700_000_000_000


def make_states(*times: int) -> list[StateInfo]:
    return [StateInfo(f"{n:064x}", "bucket1", time, "capture", 1, 1) for n, time in enumerate(times)]


def prune_again_and_again(times: list[int], future: list[int], rules: KeepPolicy) -> dict[int, int]:
    """When each time is dropped: a prune follows each new state, and sees only what the ones before it left."""
    dropped: dict[int, int] = {}
    left = list(times)
    for now, new in [(0, []), *((time, [time]) for time in future)]:
        left += new
        kept = rules.keeps(left)
        dropped |= {time: now for n, time in enumerate(left) if n not in kept}
        left = [left[n] for n in sorted(kept)]
    return dropped


@given(
    gaps=st.lists(st.integers(1, 72), max_size=12),
    rules=st.dictionaries(
        st.sampled_from(["last", "hourly", "daily", "weekly", "monthly"]), st.integers(0, 4).map(str), min_size=1
    ),
)
def test_a_simulation_equals_prunes_one_after_the_other(gaps: list[int], rules: dict[str, str]) -> None:
    times = [START]
    for gap in gaps:
        times.append(times[-1] + gap * HOUR)
    policy = KeepPolicy(rules)
    found = simulate(make_states(*times), policy, 40 * DAY)
    future = list(range(times[-1] + found.rhythm, times[-1] + 40 * DAY + 1, found.rhythm))
    dropped = prune_again_and_again(times, future, policy)
    assert list(found.kept_until) == [dropped.get(time) for time in times]
    last = found.rows[-1]
    assert last.kept == sum(time not in dropped for time in [*times, *future])
    assert (last.recorded, last.at) == (sum(time not in dropped for time in times), [*times, *future][-1])


def test_the_table_begins_now_and_ends_after_the_span() -> None:
    states = make_states(*(START + n * DAY for n in range(10)))
    found = simulate(states, keep_last(3), 20 * DAY)
    assert found.rhythm == DAY
    assert found.rows[0] == (states[-1].captured_at, 3, 3, states[-3].captured_at)
    assert found.rows[-1] == (START + 29 * DAY, 3, 0, START + 27 * DAY)
    assert found.kept_until[-4:] == (0, START + 10 * DAY, START + 11 * DAY, START + 12 * DAY)


def test_the_rhythm_is_that_of_the_newest_states() -> None:
    assert find_rhythm([START]) == DAY
    assert find_rhythm([START + n * HOUR for n in range(40)]) == HOUR
    assert find_rhythm([START, START]) == SECOND
    slow, fast = [START + n * 30 * DAY for n in range(40)], [START + 1200 * DAY + n * HOUR for n in range(30)]
    assert find_rhythm([*slow, *fast]) == HOUR


def test_the_number_of_simulated_states_is_bounded() -> None:
    found = simulate(make_states(START, START + SECOND), KeepPolicy({"last": "unlimited"}), 400 * DAY)
    assert found.rows[-1].kept <= MAX_STATES + 2
    assert (found.rhythm, found.usual_rhythm) == (400 * DAY // MAX_STATES, SECOND)
