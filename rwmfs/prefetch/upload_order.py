"""Predicts which packs are opened next, from the order of the opens so far. Pure.

restic restores packs almost in the order of their upload (measured by rwm: of 34 packs none was opened more than six
places early or late). A *rank* is the position of a pack in upload order. Opens close to each other that move forward
form a run. Each open in a run raises the confidence, each open outside of it and each wrong prediction lowers it;
above a threshold the next ranks are predicted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

MAX_DISTANCE = 8
"""Ranks by which an open may differ from the front of the run and still belong to it."""

MIN_CONFIDENCE = 4
"""Opens in a run from which the next ranks are predicted."""

MISS_PENALTY = 3
"""Confidence lost by an open outside the run."""

MAX_CONFIDENCE = 16

HISTORY = 128
"""Opens that are remembered."""


class UploadOrderPrediction:
    """The opens of one state, as ranks from 0. The prefetcher reports opens and prefetches."""

    def __init__(self) -> None:
        self._front = -1  # highest rank of the run
        self._confidence = 0  # 0 before the first open
        self._opened: deque[int] = deque(maxlen=HISTORY)
        self._prefetched: set[int] = set()  # not opened yet

    @property
    def is_confident(self) -> bool:
        """Whether the opens so far follow the upload order."""
        return self._confidence >= MIN_CONFIDENCE

    def predicts(self, rank: int) -> bool:
        """Whether the opens so far follow the upload order, and an open of this rank would continue the run."""
        return self.is_confident and self._continues_run(rank)

    def _continues_run(self, rank: int) -> bool:
        return bool(self._confidence) and rank not in self._opened and abs(rank - self._front) <= MAX_DISTANCE

    def record_open(self, rank: int) -> None:
        """Record an open; a repeated one changes nothing."""
        self._prefetched.discard(rank)
        if rank in self._opened:
            return
        continues_run = self._continues_run(rank)
        self._opened.append(rank)
        if continues_run:
            self._confidence = min(self._confidence + 1, MAX_CONFIDENCE)
            self._front = max(self._front, rank)
        else:
            self._confidence -= MISS_PENALTY
        if self._confidence <= 0:  # start a new run
            self._front, self._confidence = rank, 1

    def upcoming(self, count: int) -> Iterator[int]:
        """The next ``count`` ranks that were neither opened nor prefetched; none without confidence."""
        rank = self._front
        while self.is_confident and count > 0:
            rank += 1
            if rank not in self._prefetched and rank not in self._opened:
                count -= 1
                yield rank

    def record_prefetch(self, rank: int) -> None:
        """Record that a rank is prefetched."""
        self._prefetched.add(rank)

    def take_mispredicted(self) -> list[int]:
        """Remove and return prefetched ranks that the run has passed, or all of them without confidence.

        Each of them lowers the confidence.
        """
        wrong = [rank for rank in self._prefetched if not self.is_confident or rank < self._front - MAX_DISTANCE]
        self._prefetched.difference_update(wrong)
        if self.is_confident:
            self._confidence = max(self._confidence - len(wrong), 1)
        return wrong
