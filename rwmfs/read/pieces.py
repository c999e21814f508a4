"""Pieces of object versions: what is in memory, or on its way there. Pure but for the event that a piece is waited by.

A piece is the answer to one request: a range of an object version of at most a window. Pieces of one object never
overlap. They begin and end at whole grains of the disk cache, or at the object's end, so whether a range is there is a
few look-ups.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from rwm.errors import RwmError, S3Error
from rwmfs.cache import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.read.content_hash import ContentHash
from rwmfs.read.request_size import USUAL
from rwmfs.read.unverified import UnverifiedReads


class Piece:
    """The bytes ``start`` to ``stop`` (exclusive) of an object version; ``data`` is there once ``done`` is set.

    ``waiting`` counts the readers that need it, ``used`` the bytes that readers got from it. ``ahead`` says that they
    will come to some of it later, ``awaited`` is the buffer's. ``asked`` says that a thread has begun to fetch it,
    ``cancelled`` tells the thread to give up, ``trouble`` is what it last got instead of the data. ``on_disk`` says
    that it came from there, ``proven`` that it was in a proof before that, ``kept`` that it need not go there.
    """

    __slots__ = (
        "_round",
        "ahead",
        "asked",
        "awaited",
        "cancelled",
        "data",
        "done",
        "error",
        "held",
        "kept",
        "on_disk",
        "proven",
        "start",
        "stop",
        "trouble",
        "used",
        "waiting",
    )

    def __init__(self, held: BufferedObject, start: int, stop: int) -> None:
        self.held = held
        self.start = start
        self.stop = stop
        self.done = trio.Event()
        self.data: memoryview | None = None
        self.error: RwmError | None = None
        self.waiting = 0
        self.used = 0
        self.ahead = False
        self.asked = False
        self.awaited = False
        self.cancelled = False
        self.on_disk = False
        self.kept = False
        self.proven = False
        self.trouble = ""
        self._round = held.rejected

    def rejected(self) -> bool:
        """Whether the content that it was a part of turned out to be wrong."""
        return self._round != self.held.rejected

    def __len__(self) -> int:
        return self.stop - self.start

    def overlap(self, start: int, stop: int) -> int:
        """How many bytes of a range it has."""
        return max(min(self.stop, stop) - max(self.start, start), 0)


class BufferedObject:
    """An object version of which something is in memory, on its way, or open.

    ``whole`` says that nothing of it is handed out before all of it is here and is what its name says. ``readers``
    are open handles, ``scattered`` the requests made for reads that follow no other. ``rejected`` counts how often its
    content turned out to be wrong, ``spoiled`` how often that was after something had been handed out. ``told`` is the
    last error in the log.
    """

    __slots__ = (
        "exposure",
        "id",
        "pieces",
        "proof",
        "readers",
        "rejected",
        "scattered",
        "spoiled",
        "told",
        "whole",
    )

    def __init__(self, identity: ObjectId) -> None:
        self.id = identity
        self.pieces: dict[int, Piece] = {}
        self.proof = ContentHash(identity)
        self.whole = False
        self.readers = 0
        self.scattered = 0
        self.exposure = UnverifiedReads()
        self.rejected = 0
        self.spoiled = 0
        self.told = ""

    def make_whole(self) -> None:
        """Hand out nothing from now on before all of it is here and proven."""
        if not self.whole:
            self.whole = True
            self._prove_anew()

    def reject(self) -> None:
        """Its content is wrong: what was handed out of it, and what is here."""
        self.rejected += 1
        if self.exposure:
            self.spoiled += 1
        self.exposure.clear()

    def add(self, start: int, stop: int) -> Piece:
        """A new piece, where there is none. What is in the proof already may come otherwise now."""
        if start < self.proof.position:
            self._prove_anew()
        piece = Piece(self, start, stop)
        for grain in _grains(start, stop):
            self.pieces[grain] = piece
        return piece

    def remove(self, piece: Piece) -> None:
        """Forget a piece. It may come back otherwise, so what was proven has to be proven again."""
        for grain in _grains(piece.start, piece.stop):
            del self.pieces[grain]
        if piece.used:
            self.exposure.leave(hashed=piece.stop <= self.proof.position)
        if self.whole or self.proof.verdict is not None:
            self._prove_anew()

    def _prove_anew(self) -> None:
        self.exposure.prove_anew()
        self.proof.give_up()
        self.proof = ContentHash(self.id)

    def read(self) -> int:
        """Bytes that readers got of what is here."""
        return sum(min(piece.used, len(piece)) for piece in set(self.pieces.values()))

    def covering(self, start: int, stop: int) -> Iterator[Piece]:
        """The pieces that have something of a range, in order."""
        while start < stop:
            piece = self.pieces.get(start // BLOCK)
            if piece is not None:
                yield piece
            start = piece.stop if piece is not None else (start // BLOCK + 1) * BLOCK

    def at(self, position: int) -> Piece | None:
        """The piece that has what follows a position, if it is here."""
        piece = self.pieces.get(position // BLOCK)
        return piece if piece is not None and piece.data is not None else None

    def missing(self, start: int, stop: int, window: int = USUAL) -> Iterator[tuple[int, int]]:
        """The parts of a range that no piece has, of about ``window`` bytes at most. Pieces may be added on the way.

        A rest that is not worth a request of its own comes with what is before it, except over a slow link, where it
        comes sooner by itself.
        """
        stop = min(stop, self.id.size)
        grain, end = start // BLOCK, -(-stop // BLOCK) if start < stop else 0
        usual = window // BLOCK
        most = usual + usual // 4 if window > USUAL else usual
        while grain < end:
            piece = self.pieces.get(grain)
            if piece is not None:
                grain = -(-piece.stop // BLOCK)
                continue
            first = grain
            while grain < end and grain - first < most and grain not in self.pieces:
                grain += 1
            if grain < end and grain not in self.pieces:  # it goes on
                grain = first + usual
            yield first * BLOCK, min(grain * BLOCK, self.id.size)


def _grains(start: int, stop: int) -> range:
    return range(start // BLOCK, -(-stop // BLOCK))


def cut(pieces: list[Piece], start: int, stop: int) -> bytes | memoryview:
    """The bytes of a range from pieces that have all of it, in order; a view where one piece has it."""
    views = []
    for piece in pieces:
        assert piece.data is not None
        view = piece.data[max(start - piece.start, 0) : stop - piece.start]
        piece.used += len(view)
        views.append(view)
    return views[0] if len(views) == 1 else b"".join(views)


async def all_done(pieces: list[Piece]) -> None:
    """Wait for the end of some fetches; raises what the first of them to have failed, in order, failed with."""
    for piece in pieces:
        if not piece.done.is_set():  # a wait for what is done gives way to others all the same
            await piece.done.wait()
        if piece.error is not None:
            raise S3Error(piece.error.message, hint=piece.error.hint) from piece.error
