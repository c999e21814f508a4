"""An open file of a mount. Pure."""

from __future__ import annotations

from typing import NamedTuple

from rwmfs.prefetch import Readahead
from rwmfs.read.pieces import BufferedObject


class Failure(NamedTuple):
    """A read from ``start`` to ``stop`` that failed. It is tried again from ``until`` on, by the clock of trio."""

    start: int
    stop: int
    until: float
    message: str


class OpenObject:
    """An object as one reader sees it: the run of reads that it makes, and how much it got.

    ``place`` is where the kernel keeps what it read, ``keep`` whether what was there before may stay. ``failure`` is a
    read that failed after a long time.
    """

    __slots__ = ("_round", "failure", "held", "keep", "place", "read", "readahead")

    def __init__(self, held: BufferedObject, readahead: Readahead, place: int, keep: bool) -> None:
        self.held = held
        self.readahead = readahead
        self.place = place
        self.keep = keep
        self.read = 0
        self.failure: Failure | None = None
        self._round = held.spoiled

    @property
    def spoiled(self) -> bool:
        """Whether wrong bytes were handed out since it was opened, to this reader or another."""
        return self._round != self.held.spoiled
