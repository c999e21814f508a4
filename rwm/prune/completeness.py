"""Which recorded states are complete in a bucket, and which the deletions of a plan would make incomplete. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from rwm.model import StateInfo


class Completeness:
    """Counts, for each state of a bucket, its versions that are present and those that are to be deleted.

    ``states`` come oldest first; a range of positions in them stands for the states that need a version. The counts
    are stored as differences between neighbours: a version costs two additions, however many states need it.
    """

    def __init__(self, states: Sequence[StateInfo], kept: Iterable[StateInfo]) -> None:
        ids = {info.id for info in kept}
        self._states = states
        self._kept = [info.id in ids for info in states]
        self._present = [0] * (len(states) + 1)
        self._deleted = [0] * (len(states) + 1)

    def add_present(self, positions: range) -> None:
        """Count a version that these states need and the bucket has."""
        _add(self._present, positions)

    def add_deleted(self, positions: range) -> None:
        """Count a version that these states need and the plan deletes."""
        _add(self._deleted, positions)

    def incomplete_kept(self) -> list[tuple[StateInfo, int]]:
        """The kept states that are incomplete now, oldest first, each with the number of its missing versions."""
        counts = zip(self._states, self._kept, accumulate(self._present), strict=False)
        return [(info, info.objects - present) for info, kept, present in counts if kept and present != info.objects]

    def complete(self) -> set[str]:
        """The ids of the states of which the bucket has all versions now."""
        counts = zip(self._states, accumulate(self._present), strict=False)
        return {info.id for info, present in counts if present == info.objects}

    def ended(self) -> list[tuple[StateInfo, bool]]:
        """The states that are incomplete after the deletions, each with whether it is complete before them.

        Kept states are left out, and states of which the bucket has no version at all.
        """
        counts = zip(self._states, self._kept, accumulate(self._present), accumulate(self._deleted), strict=False)
        return [
            (info, present == info.objects)
            for info, kept, present, deleted in counts
            if not kept and present and present - deleted < info.objects
        ]


def _add(differences: list[int], positions: range) -> None:
    if positions:
        differences[positions.start] += 1
        differences[positions.stop] -= 1
