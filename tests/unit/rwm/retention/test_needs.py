"""Until when a version is needed, compared with a model that looks at each state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rwm.model import StateInfo
from rwm.retention.needs import FOREVER, KeptUntil, keep_forever, needed_versions


@given(
    times=st.lists(st.integers(0, 9), max_size=40),
    ranges=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 40)), max_size=8),
)
def test_the_latest_time_of_any_state_that_has_the_version(
    times: list[int], ranges: list[tuple[int, int, int]]
) -> None:
    """A version may have several ranges."""
    needs = [(f"v{version}", range(min(a, len(times)), min(b, len(times)))) for version, a, b in ranges]
    expected: dict[str, int] = {}
    for version, positions in needs:
        for position in positions:
            expected[version] = max(expected.get(version, 0), times[position])
    assert needed_versions(needs, KeptUntil(times)) == {version: until for version, until in expected.items() if until}


@given(count=st.integers(0, 20), kept=st.sets(st.integers(0, 19)), first=st.integers(0, 20), after=st.integers(0, 20))
def test_a_prune_needs_what_a_kept_state_has(count: int, kept: set[int], first: int, after: int) -> None:
    states = [StateInfo(f"{n:064x}", "bucket1", n, "capture", 1, 1) for n in range(count)]
    kept_until = keep_forever(states, [info for n, info in enumerate(states) if n in kept])
    positions = range(min(first, count), min(after, count))
    assert kept_until.latest(positions) == (FOREVER if kept & set(positions) else 0)
