"""Until when a version is to be locked. Pure.

A version that is current is needed a day longer each day. Its lock is extended by a step at a time, so it costs one
request in a step and not one in each run. The first lock of a version ends at a time of the step that its key decides:
the versions of a large bucket do not all become due on one day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from rwm.model import LockMode, Retention, StateInfo
from rwm.phrases import format_count
from rwm.retention import NOT_NEEDED, apply_rules, future_times
from rwm.times import DAY, SECOND, iso
from rwm.trust import KeepPolicy

MAX_AHEAD = 400 * DAY
"""How far ahead a version is locked at most, without the step; later runs extend the lock."""

_COVERED_RUNS = 2
"""A lock lasts at least until the run after the next one: one may fail."""


class LockTiming(NamedTuple):
    """The server's time, how often locks are renewed, and by how much a lock is extended; in milliseconds."""

    now: int
    every: int
    step: int

    @property
    def covered(self) -> int:
        """Until when whatever a kept state needs is locked at least."""
        return self.now + _COVERED_RUNS * self.every


def find_gap(timing: LockTiming, default: int | None) -> str | None:
    """What stays unlocked for a while if the locks are renewed so rarely; ``default`` is the bucket's retention."""
    least = _COVERED_RUNS * timing.every
    if default is not None and default < least:
        return (
            f"new versions are locked for {format_count(default // DAY, 'day')}, and the first renewal may come after "
            f"{-(-least // DAY)}, if one run fails: between, they would not be locked"
        )
    if least > MAX_AHEAD:
        return f"locks reach {format_count(MAX_AHEAD // DAY, 'day')} ahead at most"
    return None


def states_kept_until(
    states: Sequence[StateInfo], rules: KeepPolicy, is_clean: Callable[[StateInfo], bool], timing: LockTiming
) -> dict[str, int]:
    """Until when the rules keep each of one location's states, by id, if states come as often as now.

    ``states``, oldest first, are those that the rules may keep; what they do not keep now is left out. A kept state is
    kept at least as long as :attr:`LockTiming.covered`, and that is all that is known of one that is not clean.
    """
    found = {info.id: timing.covered for info in apply_rules(states, rules, is_clean)}
    clean = [info for info in states if info.objects and is_clean(info)]
    if not clean:
        return found
    times = [info.captured_at for info in clean]
    _, future = future_times(times, MAX_AHEAD, timing.now)
    end = timing.now + MAX_AHEAD
    for info, outlived in zip(clean, rules.lifetimes(times, future), strict=True):
        if info.id in found:
            until = future[outlived] if outlived < len(future) else end
            found[info.id] = max(timing.covered, min(until, end))
    return found


def next_retention(
    key: str, needed_until: int, current: Retention | None, mode: LockMode, timing: LockTiming
) -> Retention | None:
    """The retention to set on a version that is needed until a time; None if its ``current`` one suffices.

    A lock is never shortened, and one that has not ended keeps its mode: no server changes it.
    """
    if needed_until == NOT_NEEDED or (current is not None and current.until >= needed_until):
        return None
    if current is None:
        extra = crc32(key.encode(errors="surrogatepass")) % timing.step
    else:
        extra = timing.step + timing.every  # with one interval more, a run that is late costs no further request
    until = -(-(needed_until + extra) // SECOND) * SECOND
    return Retention(current.mode if current is not None and current.until > timing.now else mode, until)


def describe_mode(mode: LockMode, until: int) -> str:
    """What locks of this mode mean for the admin."""
    if mode == "compliance":
        return f"nobody can delete these versions before {iso(until)}, and nobody can undo that"
    return f"until {iso(until)} only an account that may bypass governance can delete these versions"
