"""What the keep rules will keep, if states go on to be captured as often as now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from rwm.model import StateInfo
from rwm.times import DAY, SECOND
from rwm.trust import KeepPolicy

MAX_STATES = 20_000
"""Future states that are simulated; where more would come, they are further apart."""

_RECENT = 30
"""States whose distances make the rhythm."""

_ROWS = 10


class KeptAt(NamedTuple):
    """What is kept at a time: ``recorded`` of the states are recorded now; ``oldest`` is the time of the oldest one."""

    at: int
    kept: int
    recorded: int
    oldest: int | None


class Simulation(NamedTuple):
    """The ``rhythm`` (milliseconds between two states), what is kept at some times, and until when each state is.

    ``usual_rhythm`` is that of the newest states: a shorter one, if that made too many states to simulate.
    ``kept_until`` has the times at which the given states are dropped, in their order: 0 for one that is not kept even
    now, None for one that is still kept at the end.
    """

    rhythm: int
    usual_rhythm: int
    rows: tuple[KeptAt, ...]
    kept_until: tuple[int | None, ...]


def find_rhythm(times: Sequence[int]) -> int:
    """The usual distance of the newest states, whose times come oldest first: a day for fewer than two."""
    gaps = [later - earlier for earlier, later in pairwise(times[-_RECENT:])]
    return max(int(median(gaps)), SECOND) if gaps else DAY


def future_times(times: Sequence[int], span: int, now: int = 0) -> tuple[int, list[int]]:
    """The rhythm, and the times of the states to come within ``span`` after the newest one.

    If that is longer ago than the rhythm, the next one comes ``now``.
    """
    rhythm = max(find_rhythm(times), -(-span // MAX_STATES))
    start = max(times[-1], now - rhythm)
    return rhythm, [start + number * rhythm for number in range(1, span // rhythm + 1)]


def simulate(states: Sequence[StateInfo], rules: KeepPolicy, span: int) -> Simulation:
    """Let states come for ``span`` milliseconds after the newest of ``states``, the clean ones of one location.

    They come oldest first, and there is at least one.
    """
    times = [info.captured_at for info in states]
    rhythm, future = future_times(times, span)
    lifetimes = rules.lifetimes(times, future)
    kept_until = tuple(
        0 if outlived < 0 else future[outlived] if outlived < len(future) else None for outlived in lifetimes
    )
    steps = sorted({len(future) * row // _ROWS for row in range(_ROWS + 1)})
    rows = [_row(times, future[:step], rules) for step in steps]
    return Simulation(rhythm, find_rhythm(times), tuple(rows), kept_until)


def _row(times: Sequence[int], future: Sequence[int], rules: KeepPolicy) -> KeptAt:
    everything = [*times, *future]
    kept = rules.keeps(everything)
    recorded = sum(position < len(times) for position in kept)
    return KeptAt(everything[-1], len(kept), recorded, everything[min(kept)] if kept else None)
