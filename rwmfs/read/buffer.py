"""The memory of a mount: pieces of object versions, bounded in bytes. Pure.

What was read leaves first, and of that the least recently used. What was read of objects that nobody has open any more
does not wait until the room is needed: it is in the kernel's memory too as a rule, and in the cache on disk if there is
one. Memory that is used again at once costs less than new memory, which has to be cleared.

An object version never changes, so nothing here is ever stale. What is on its way counts too, and stays, as does what
somebody uses: whoever makes pieces that nobody needs yet asks ``has_room`` before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from rwmfs.object_id import ObjectId
from rwmfs.read.counters import Counters
from rwmfs.read.pieces import BufferedObject, Piece

READ = 0.8
"""The part of an object that has to be read, of what is here of it, to call it read once nobody has it open. restic
does not read the end of a pack, which says what is in it; but it may open a pack again for another part of it."""

PAST = 8
"""The part of the limit that may be taken by what was read of objects that nobody has open, as a divisor."""


class Buffer:
    """Objects with their pieces. ``limit`` and ``size`` are bytes. Used from one thread only.

    What each call costs does not depend on how many pieces there are, but for those of one object where it is opened,
    closed, or finished with.
    """

    def __init__(self, limit: int, counters: Counters) -> None:
        self.limit = limit
        self.size = 0
        self._counters = counters
        self._objects: dict[ObjectId, BufferedObject] = {}
        self._staying: set[Piece] = set()
        # What may leave, the least recently used first: what was read of objects that nobody has open, what was read of
        # others, and what has bytes that nobody has read.
        self._past: OrderedDict[Piece, None] = OrderedDict()
        self._read: OrderedDict[Piece, None] = OrderedDict()
        self._unread: OrderedDict[Piece, None] = OrderedDict()
        self._past_size = 0
        self._leaving_size = 0  # of all three
        self._awaited = 0  # bytes of them that were fetched ahead of a reader who has not come to them

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._objects)

    def __iter__(self) -> Iterator[BufferedObject]:
        return iter(self._objects.values())

    def __contains__(self, piece: Piece) -> bool:
        return piece in self._staying or any(piece in queue for queue in (self._past, self._read, self._unread))

    def find(self, identity: ObjectId) -> BufferedObject | None:
        """The object, if something of it is here or somebody has it open."""
        return self._objects.get(identity)

    def hold_lock(self, identity: ObjectId) -> BufferedObject:
        """The object, new if nothing of it is here; :meth:`settle` lets go of it again."""
        held = self._objects.get(identity)
        if held is None:
            held = self._objects[identity] = BufferedObject(identity)
        return held

    def add(self, held: BufferedObject, start: int, stop: int) -> Piece:
        """A piece that is on its way from now on, and stays until :meth:`release`."""
        piece = held.add(start, stop)
        self.size += len(piece)
        self._staying.add(piece)
        return piece

    @contextmanager
    def using(self, pieces: list[Piece]) -> Iterator[None]:
        """What somebody waits for or uses stays in memory. Afterwards it is the most recently used."""
        for piece in pieces:
            piece.waiting += 1
            if self._take_back(piece):
                self._staying.add(piece)
        try:
            yield
        finally:
            for piece in pieces:
                piece.waiting -= 1
                self.release(piece)
            self.shrink()

    def release(self, piece: Piece) -> None:
        """It may leave from now on, if it is not on its way any more and nobody uses it."""
        if piece.done.is_set() and not piece.waiting and piece in self._staying:
            self._staying.remove(piece)
            self._let(piece, past=_is_past(piece.held))

    def _let(self, piece: Piece, *, past: bool) -> None:
        """Queue it among what may leave."""
        self._leaving_size += len(piece)
        if past:
            self._past[piece] = None
            self._past_size += len(piece)
        else:
            (self._unread if piece.used < len(piece) else self._read)[piece] = None
        if piece.ahead and piece.used < len(piece) and piece.held.readers:
            piece.awaited = True
            self._awaited += len(piece)

    def drop(self, piece: Piece) -> None:
        """Let go of a piece, whoever uses it; nothing happens to one that is gone."""
        if piece in self._staying:
            self._staying.remove(piece)
        elif not self._take_back(piece):
            return
        self.size -= len(piece)
        piece.held.remove(piece)
        if piece.data is not None and not piece.on_disk:
            self._counters.wasted += max(len(piece) - piece.used, 0)
        self.settle(piece.held)

    def _take_back(self, piece: Piece) -> bool:
        """It may not leave any more; False when it might not before."""
        for queue in (self._past, self._read, self._unread):
            if piece in queue:
                del queue[piece]
                break
        else:
            return False
        self._leaving_size -= len(piece)
        if queue is self._past:
            self._past_size -= len(piece)
        if piece.awaited:
            piece.awaited = False
            self._awaited -= len(piece)
        return True

    def opened(self, held: BufferedObject) -> None:
        """Somebody has opened the object: what was read of it may be read again."""
        held.readers += 1
        if held.readers == 1:
            self._queue_anew(held)

    def closed(self, held: BufferedObject) -> None:
        """A reader is gone. With the last one, what was fetched ahead of them may make room for others."""
        held.readers -= 1
        if not held.readers:
            self._queue_anew(held)
            self.shrink()

    def _queue_anew(self, held: BufferedObject) -> None:
        past = _is_past(held)
        for piece in dict.fromkeys(held.pieces.values()):
            if self._take_back(piece):
                self._let(piece, past=past)

    def settle(self, held: BufferedObject) -> None:
        """Forget an object that nobody has open and of which nothing is here."""
        if not held.readers and not held.pieces and self._objects.get(held.id) is held:
            del self._objects[held.id]

    def shrink(self) -> None:
        """Let go of the least recently used pieces until the rest fits: of those that were read, if that is enough."""
        while self._past_size > self.limit // PAST:
            self.drop(next(iter(self._past)))
        for leaving in (self._past, self._read, self._unread):
            while self.size > self.limit and leaving:
                self.drop(next(iter(leaving)))

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more fit, when all that may leave has left but what readers will come to."""
        return self.size - self._leaving_size + self._awaited + size <= self.limit

    def unread(self) -> int:
        """Bytes that came from S3 and that nobody has read so far."""
        here = (piece for pieces in (self._staying, self._past, self._read, self._unread) for piece in pieces)
        return sum(max(len(piece) - piece.used, 0) for piece in here if piece.data is not None and not piece.on_disk)


def _is_past(held: BufferedObject) -> bool:
    """Whether nobody has the object open, and what was read of it is about all of it."""
    return not held.readers and held.read() >= held.id.size * READ
