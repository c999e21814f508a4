"""How many states of one second sync records. Pure.

The index has room for 1,000 states of one second of a bucket. An account that can write below one prefix only must not
use it up for all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rwm.model import StateInfo

MAX_OF_LOCATION = 16
"""States of one second and one location: honest ones take a second each."""

MAX_OF_TOP_DIRECTORY = 64
"""The same below one directory at the root of the bucket, in which an account may have any number of prefixes."""


class SecondLimits:
    """Counts the states of each second by location and by top-level directory."""

    def __init__(self, states: Iterable[StateInfo]) -> None:
        self._counts: Counter[tuple[str, str, int]] = Counter()
        for info in states:
            self.add(info.prefix, info.captured_at)

    def add(self, prefix: str, captured_at: int) -> None:
        """Count a state that is recorded."""
        self._counts.update(_groups(prefix, captured_at))

    def has_room(self, prefix: str, captured_at: int) -> bool:
        """Whether one more may be recorded."""
        location, top = _groups(prefix, captured_at)
        return self._counts[location] < MAX_OF_LOCATION and self._counts[top] < MAX_OF_TOP_DIRECTORY


def _groups(prefix: str, captured_at: int) -> tuple[tuple[str, str, int], tuple[str, str, int]]:
    return ("location", prefix, captured_at), ("top", prefix.partition("/")[0], captured_at)
