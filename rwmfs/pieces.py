"""Pieces of object versions: what is in memory, or on its way there. Pure but for the event that a piece is waited by.

A piece is the answer to one request: a range of an object version of at most a window. Pieces of one object never
overlap. They begin and end at whole grains of the disk cache, or at the object's end, so whether a range is there is a
few look-ups.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from rwm.errors import RwmError
from rwmfs.cachefile import GRAIN
from rwmfs.objectid import ObjectId
from rwmfs.proof import Proof

WINDOW = 4 * 1024 * 1024
"""Bytes of one request at most: large enough that the wait for its first byte is small beside it, small enough that an
object of a usual size comes by several connections."""


class Piece:
    """The bytes ``start`` to ``stop`` (exclusive) of an object version; ``data`` is there once ``done`` is set.

    ``waiting`` counts the readers that need it, ``used`` the bytes that readers got from it. ``cancelled`` tells the
    thread that fetches it to give up.
    """

    __slots__ = ("cancelled", "data", "done", "error", "held", "on_disk", "start", "stop", "used", "waiting")

    def __init__(self, held: Held, start: int, stop: int) -> None:
        self.held = held
        self.start = start
        self.stop = stop
        self.done = trio.Event()
        self.data: memoryview | None = None
        self.error: RwmError | None = None
        self.waiting = 0
        self.used = 0
        self.cancelled = False
        self.on_disk = False

    def __len__(self) -> int:
        return self.stop - self.start

    def overlap(self, start: int, stop: int) -> int:
        """How many bytes of a range it has."""
        return max(min(self.stop, stop) - max(self.start, start), 0)


class Held:
    """An object version of which something is in memory, on its way, or open.

    ``whole`` says that nothing of it is handed out before all of it is here and is what its name says. ``readers``
    are open handles, ``read`` the bytes that they got, ``scattered`` the requests made for reads that follow no other.
    """

    __slots__ = ("id", "pieces", "proof", "read", "readers", "scattered", "whole")

    def __init__(self, identity: ObjectId) -> None:
        self.id = identity
        self.pieces: dict[int, Piece] = {}
        self.proof = Proof(identity)
        self.whole = False
        self.readers = 0
        self.read = 0
        self.scattered = 0

    def make_whole(self) -> None:
        """Hand out nothing from now on before all of it is here and proven."""
        if not self.whole:
            self.whole = True
            self._prove_anew()

    def add(self, start: int, stop: int) -> Piece:
        """A new piece, where there is none."""
        piece = Piece(self, start, stop)
        for grain in _grains(start, stop):
            self.pieces[grain] = piece
        return piece

    def remove(self, piece: Piece) -> None:
        """Forget a piece. It may come back otherwise, so what was proven has to be proven again."""
        for grain in _grains(piece.start, piece.stop):
            del self.pieces[grain]
        if self.whole or self.proof.verdict is not None:
            self._prove_anew()

    def _prove_anew(self) -> None:
        """Begin a new proof. Whoever waits for the one before has to know that there will be no verdict."""
        self.proof.settled.set()
        self.proof = Proof(self.id)

    def covering(self, start: int, stop: int) -> Iterator[Piece]:
        """The pieces that have something of a range, in order."""
        while start < stop:
            piece = self.pieces.get(start // GRAIN)
            if piece is not None:
                yield piece
            start = piece.stop if piece is not None else (start // GRAIN + 1) * GRAIN

    def at(self, position: int) -> memoryview | None:
        """What is here from a position on: to the end of its piece, or None."""
        piece = self.pieces.get(position // GRAIN)
        return piece.data[position - piece.start :] if piece is not None and piece.data is not None else None

    def missing(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that no piece has, each as a piece could bring it. Pieces may be added on the way."""
        grain, end = start // GRAIN, -(-min(stop, self.id.size) // GRAIN)
        while grain < end:
            piece = self.pieces.get(grain)
            if piece is not None:
                grain = -(-piece.stop // GRAIN)
                continue
            first = grain
            while grain < end and grain - first < WINDOW // GRAIN and grain not in self.pieces:
                grain += 1
            yield first * GRAIN, min(grain * GRAIN, self.id.size)


def _grains(start: int, stop: int) -> range:
    return range(start // GRAIN, -(-stop // GRAIN))


def cut(pieces: list[Piece], start: int, stop: int) -> bytes | memoryview:
    """The bytes of a range from pieces that have all of it, in order; a view where one piece has it."""
    views = []
    for piece in pieces:
        assert piece.data is not None
        view = piece.data[max(start - piece.start, 0) : stop - piece.start]
        piece.used += len(view)
        views.append(view)
    return views[0] if len(views) == 1 else b"".join(views)
