"""Which packs somebody will open next, told from the order in which packs are opened. Pure.

restic restores in almost the order in which it once uploaded (rwm's measurements: of 34 packs none was opened more than
six places early or late). A *rank* is a pack's place in the order of upload. Opens that keep close to each other and
move on are a run; a run that is long enough is believed, and what does not fit takes belief away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

REACH = 8
"""Ranks by which an open may miss the front of its run and still belong to it."""

BELIEVED = 4
"""Opens of a run after which the next ones are foretold."""

MISS = 3
"""Opens in order that one out of order takes away."""

STRONGEST = 16
REMEMBERED = 128


class UploadOrderPrediction:
    """The opens of one state. Ranks are numbers from 0."""

    def __init__(self) -> None:
        self._front = -1
        self._strength = 0
        self._seen: deque[int] = deque(maxlen=REMEMBERED)
        self._foretold: set[int] = set()

    @property
    def holds(self) -> bool:
        """Whether the opens so far go by the order of upload."""
        return self._strength >= BELIEVED

    def expects(self, rank: int) -> bool:
        """Whether the opens so far go by the order of upload, and this one would go on with them."""
        return self.holds and self._goes_on(rank)

    def _goes_on(self, rank: int) -> bool:
        return bool(self._strength) and rank not in self._seen and abs(rank - self._front) <= REACH

    def opened(self, rank: int) -> None:
        """A pack was opened. One that was opened before tells nothing."""
        self._foretold.discard(rank)
        if rank in self._seen:
            return
        goes_on = self._goes_on(rank)
        self._seen.append(rank)
        if goes_on:
            self._strength = min(self._strength + 1, STRONGEST)
            self._front = max(self._front, rank)
        else:
            self._strength -= MISS
        if self._strength <= 0:
            self._front, self._strength = rank, 1

    def upcoming(self, count: int) -> Iterator[int]:
        """The next ``count`` ranks that were neither opened nor foretold; none where no order shows."""
        rank = self._front
        while self.holds and count > 0:
            rank += 1
            if rank not in self._foretold and rank not in self._seen:
                count -= 1
                yield rank

    def foretold(self, rank: int) -> None:
        """That rank is being fetched."""
        self._foretold.add(rank)

    def passed(self) -> list[int]:
        """What was foretold and has not come true: all of it when no order shows, else what the run has left behind.

        Each is said once, and takes belief away.
        """
        wrong = [rank for rank in self._foretold if not self.holds or rank < self._front - REACH]
        self._foretold.difference_update(wrong)
        if self.holds:
            self._strength = max(self._strength - len(wrong), 1)
        return wrong
