"""An open file of a mount. Pure."""

from __future__ import annotations

from rwmfs.pieces import Held
from rwmfs.readahead import Readahead


class OpenObject:
    """An object as one reader sees it: the run of reads that it makes, and how much it got.

    ``place`` is where the kernel keeps what it read, ``keep`` whether what was there before may stay.
    """

    __slots__ = ("_round", "held", "keep", "place", "read", "readahead")

    def __init__(self, held: Held, readahead: Readahead, place: int, keep: bool) -> None:
        self.held = held
        self.readahead = readahead
        self.place = place
        self.keep = keep
        self.read = 0
        self._round = held.spoiled

    @property
    def spoiled(self) -> bool:
        """Whether wrong bytes were handed out since it was opened, to this reader or another."""
        return self._round != self.held.spoiled
