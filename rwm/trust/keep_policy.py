"""Which snapshots a retention keeps, by times alone. Pure.

The meaning of the rules is that of `restic forget` (0.14 to 0.18, "Removing snapshots according to a policy"). Two
things are not known here: how restic groups the snapshots, and its time zone. The same rules applied to all snapshots
as one group keep only snapshots that they keep in every grouping by host or paths. Newer versions of restic also keep
the oldest snapshot while a rule has a rest; here it is not counted on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import accumulate, pairwise

from rwm.errors import UsageError
from rwm.times import DAY, parse_restic_duration

HOUR = DAY // 24
OFFSETS = tuple(hours * HOUR for hours in range(-12, 15, 2))
"""Time zones that are tried, in milliseconds from UTC."""

_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY = 3  # days from the Monday before the epoch


@lru_cache(maxsize=10_000)
def _month(day: int) -> int:
    """The number of the month of a day since the epoch."""
    found = date.fromordinal(_EPOCH + day)
    return found.year * 12 + found.month


_PERIODS: dict[str, Callable[[int], int]] = {
    "hourly": lambda time: time // HOUR,
    "daily": lambda time: time // DAY,
    "weekly": lambda time: (time // DAY + _MONDAY) // 7,
    "monthly": lambda time: _month(time // DAY),
    "yearly": lambda time: (_month(time // DAY) - 1) // 12,
}
"""The number of the period that a local time is in, given in milliseconds."""


class KeepPolicy:
    """The rules of a configuration's ``retention`` or ``keep``: ``keep-daily: 7``, ``daily: 7`` and so on.

    Unknown ones keep nothing.
    """

    def __init__(self, retention: Mapping[str, str]) -> None:
        rules = {name.removeprefix("keep-"): value for name, value in retention.items()}
        self._last = _count(rules.get("last"))
        self._counts = {name: _count(rules[name]) for name in _PERIODS if name in rules}
        self._within = _duration(rules.get("within"))
        self._within_period = {name: _duration(rules.get(f"within-{name}")) for name in _PERIODS}

    @property
    def is_empty(self) -> bool:
        """Whether no rule keeps anything."""
        return not (self._last or self._within or any(self._counts.values()) or any(self._within_period.values()))

    def surely_keeps(self, times: Sequence[int]) -> set[int]:
        """Positions of the snapshots that are kept in every time zone; ``times`` in milliseconds, oldest first."""
        kept = [self.keeps(times, offset) for offset in OFFSETS]
        return set.intersection(*kept) if kept and times else set()

    def keeps(self, times: Sequence[int], offset: int = 0) -> set[int]:
        """Positions of what is kept in the time zone that is ``offset`` milliseconds from UTC; ``times`` as above."""
        newest_first = range(len(times) - 1, -1, -1)
        kept = set(newest_first[: self._last])
        newest = times[-1] if times else 0
        kept |= {position for position in newest_first if self._within and times[position] > newest - self._within}
        for name, period in _PERIODS.items():
            left, within, seen = self._counts.get(name, 0), self._within_period[name], -1
            if left <= 0 and not within:
                continue
            for position in newest_first:
                current = period(times[position] + offset)
                if current == seen:
                    continue
                seen = current
                if left > 0 or (within and times[position] > newest - within):
                    kept.add(position)
                left -= 1
        return kept

    def lifetimes(self, times: Sequence[int], future: Sequence[int]) -> list[int]:
        """How many of the ``future`` ones each of ``times`` outlives, in UTC: -1 if it is not kept even now.

        The same as :meth:`keeps` after each of them, which come oldest first and later than ``times``; what is not kept
        once is never kept again. Costs a look-up for each time and rule.
        """
        if not times:
            return []
        count, newest = len(times), [times[-1], *future]

        def within(time: int, duration: int) -> int:
            """How many of the future ones are less than a duration after a time; -1 if the last one is not."""
            return bisect_left(newest, time + duration) - 1 if duration else -1

        found = [
            max(min(self._last - count + position, len(future)), within(time, self._within), -1)
            for position, time in enumerate(times)
        ]
        for name, period in _PERIODS.items():
            limit, duration = self._counts.get(name, 0), self._within_period[name]
            if limit <= 0 and not duration:
                continue
            periods = list(map(period, times))
            is_last = [one != other for one, other in pairwise([*periods, -1])]  # of its period
            later = len(set(periods))
            coming = list(accumulate((a != b for a, b in pairwise(map(period, newest))), initial=0))
            is_continued = len(future) > 0 and coming[1] == 0  # the first future one is of the last period
            for position, time in enumerate(times):
                if not is_last[position]:
                    continue
                later -= 1
                outlived = max(bisect_left(coming, limit - later) - 1, within(time, duration))
                if is_continued and position == count - 1:
                    outlived = min(outlived, 0)
                found[position] = max(found[position], outlived)
        return found


def _count(text: str | None) -> int:
    if text in ("unlimited", "-1"):
        return 1 << 30
    return int(text) if text and text.isdecimal() else 0


def _duration(text: str | None) -> int:
    """A duration in milliseconds; 0 for none that is known."""
    try:
        return parse_restic_duration(text) if text else 0
    except UsageError:
        return 0
