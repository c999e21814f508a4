"""Counts, while a bucket's histories go by, which recorded states are whole and which a plan would end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from rwm.model import StateInfo


class Completeness:
    """Over the states of one bucket, oldest first, and which of them are kept.

    A version is current in a range of states, so each count is kept as the differences between neighbours: a version
    costs two additions, however many states it is in.
    """

    def __init__(self, states: Sequence[StateInfo], kept: Iterable[StateInfo]) -> None:
        ids = {info.id for info in kept}
        self._states = states
        self._kept = [info.id in ids for info in states]
        self._kept_before = [0, *accumulate(self._kept)]
        self._there = [0] * (len(states) + 1)
        self._doomed = [0] * (len(states) + 1)

    def is_kept(self, numbers: range) -> bool:
        """Whether any state of that range is kept."""
        return self._kept_before[numbers.stop] > self._kept_before[numbers.start]

    def there(self, numbers: range) -> None:
        """A version that those states need is in the bucket."""
        _add(self._there, numbers)

    def doomed(self, numbers: range) -> None:
        """A version that those states need is to be deleted."""
        _add(self._doomed, numbers)

    def missing(self) -> list[tuple[StateInfo, int]]:
        """The kept states that are not whole now, oldest first, and how many of their versions are missing."""
        counts = zip(self._states, self._kept, accumulate(self._there), strict=False)
        return [(info, info.objects - there) for info, kept, there in counts if kept and there != info.objects]

    def ending(self) -> list[tuple[StateInfo, bool]]:
        """The states that are not kept and not whole once the doomed are gone; and whether they are whole until then.

        A state of which nothing is in the bucket is none of its own, and is left out.
        """
        counts = zip(self._states, self._kept, accumulate(self._there), accumulate(self._doomed), strict=False)
        return [
            (info, there == info.objects)
            for info, kept, there, doomed in counts
            if not kept and there and there - doomed < info.objects
        ]


def _add(differences: list[int], numbers: range) -> None:
    if numbers:
        differences[numbers.start] += 1
        differences[numbers.stop] -= 1
