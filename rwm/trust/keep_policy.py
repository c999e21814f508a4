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
from rwm.times import DAY, HOUR, parse_restic_duration

_BETWEEN_HOURS = (-9.5, -3.5, -2.5, 3.5, 4.5, 5.5, 5.75, 6.5, 8.75, 9.5, 10.5, 12.75, 13.75)
OFFSETS = tuple(round(hours * HOUR) for hours in (*range(-12, 15), *_BETWEEN_HOURS))
"""The time zones of the world, in milliseconds from UTC: one left out may have a midnight between two backups."""

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
                if left <= 0 and times[position] <= newest - within:
                    break
                current = period(times[position] + offset)
                if current != seen:
                    seen = current
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
        newest = [times[-1], *future]

        def within(time: int, duration: int) -> int:
            return bisect_left(newest, time + duration) - 1 if duration else -1

        found = [
            max(min(self._last - len(times) + position, len(future)), within(time, self._within), -1)
            for position, time in enumerate(times)
        ]
        for name, period in _PERIODS.items():
            count, duration = self._counts.get(name, 0), self._within_period[name]
            if count > 0 or duration:
                slots = _Slots(list(map(period, times)), list(map(period, future)))
                for position, time in enumerate(times):
                    outlived = max(slots.outlived(position, count), within(time, duration))
                    found[position] = max(found[position], min(outlived, slots.longest(position)))
        return found


class _Slots:
    """The slots that some times, oldest first, have by a rule which keeps the newest one of each period."""

    def __init__(self, periods: Sequence[int], future: Sequence[int]) -> None:
        starts = [one != other for one, other in pairwise([periods[0], *periods])]  # of another period
        self._newer = list(accumulate(reversed(starts[1:]), initial=0))[::-1]  # periods that are newer than its own
        self._is_last = [*starts[1:], True]  # of its period
        self._new = list(accumulate((a != b for a, b in pairwise([periods[-1], *future])), initial=0))
        self._is_continued = len(future) > 0 and future[0] == periods[-1]

    def outlived(self, position: int, count: int) -> int:
        """After how many future times its period is still one of the newest ``count``; -1 if it is not even now."""
        return bisect_left(self._new, count - self._newer[position]) - 1

    def longest(self, position: int) -> int:
        """After how many it is still the newest one of its period; -1 if it is not even now."""
        if not self._is_last[position]:
            return -1
        is_replaced = self._is_continued and position == len(self._is_last) - 1
        return 0 if is_replaced else len(self._new) - 1


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
