"""The memory of a mount: pieces of object versions, bounded in bytes; the least recently used leave first. Pure.

An object version never changes, so nothing here is ever stale. What is on its way counts too, and stays, as does what
somebody waits for: whoever makes pieces that nobody needs yet asks ``has_room`` before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from rwmfs.counters import Counters
from rwmfs.objectid import ObjectId
from rwmfs.pieces import Held, Piece


class Buffer:
    """Objects with their pieces. ``limit`` and ``size`` are bytes. Used from one thread only."""

    def __init__(self, limit: int, counters: Counters) -> None:
        self.limit = limit
        self.size = 0
        self._counters = counters
        self._objects: dict[ObjectId, Held] = {}
        self._pieces: OrderedDict[Piece, None] = OrderedDict()

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._objects)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._objects.values())

    def held(self, identity: ObjectId) -> Held:
        """The object, new if nothing of it is here; :meth:`settle` lets go of it again."""
        held = self._objects.get(identity)
        if held is None:
            held = self._objects[identity] = Held(identity)
        return held

    def add(self, held: Held, start: int, stop: int) -> Piece:
        """A piece that is on its way from now on."""
        piece = held.add(start, stop)
        self.size += len(piece)
        self._pieces[piece] = None
        return piece

    def touch(self, piece: Piece) -> None:
        """It is the most recently used now; nothing happens to one that is gone."""
        if piece in self._pieces:
            self._pieces.move_to_end(piece)

    def drop(self, piece: Piece) -> None:
        """Let go of a piece, unless it is gone."""
        if piece not in self._pieces:
            return
        del self._pieces[piece]
        self.size -= len(piece)
        piece.held.remove(piece)
        if piece.data is not None and not piece.on_disk:
            self._counters.wasted += max(len(piece) - piece.used, 0)
        self.settle(piece.held)

    def settle(self, held: Held) -> None:
        """Forget an object that nobody has open and of which nothing is here."""
        if not held.readers and not held.pieces and self._objects.get(held.id) is held:
            del self._objects[held.id]

    def shrink(self) -> None:
        """Let go of the least recently used pieces until the rest fits: of those that were read, if that is enough."""
        for keep_unread in (True, False):
            excess, leaving = self.size - self.limit, []
            for piece in self._pieces:
                if excess <= 0:
                    break
                if _may_leave(piece) and not (keep_unread and piece.used < len(piece)):
                    leaving.append(piece)
                    excess -= len(piece)
            for piece in leaving:
                self.drop(piece)

    def has_room(self, size: int, share: float = 1.0) -> bool:
        """Whether so many bytes more fit into a share of the memory, when all that may leave has left."""
        staying = sum(len(piece) for piece in self._pieces if not _may_leave(piece))
        return staying + size <= self.limit * share

    def unread(self) -> int:
        """Bytes that came from S3 and that nobody has read so far."""
        return sum(max(len(piece) - piece.used, 0) for piece in self._pieces if piece.data is not None)


def _may_leave(piece: Piece) -> bool:
    return piece.done.is_set() and not piece.waiting
