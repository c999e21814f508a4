"""The memory of a mount: pieces of object versions, bounded in bytes. Pure.

Eviction order: pieces of finished objects first (read, and no longer open), then other pieces that were read, then
unread ones; each of the three is a queue in least recently used order. Finished objects are also evicted before memory
runs short, because the kernel has usually cached them too, as has the disk cache if there is one; and memory that is
reused at once costs less than new memory, which the kernel has to clear.

An object version never changes, so no piece becomes stale. Pieces in flight and pinned pieces count towards the limit
but are not evicted; ``has_room`` says whether a prefetch or read-ahead still fits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from rwmfs.object_id import ObjectId
from rwmfs.read.counters import Counters
from rwmfs.read.pieces import BufferedObject, Piece

FINISHED_FRACTION = 0.8
"""Part of an object that has to be read, of its pieces in memory, to count as finished once it is closed. restic does
not read the header at the end of a pack; but it may open a pack again for another part of it."""

FINISHED_SHARE = 8
"""Pieces of finished objects take at most the limit divided by this."""


class Buffer:
    """Objects with their pieces. Used in the trio thread only.

    The cost of a call does not depend on the number of pieces, except those of one object when it is opened, closed or
    dropped.
    """

    def __init__(self, limit: int, counters: Counters) -> None:
        self.limit = limit
        """Bytes of all pieces."""
        self.size = 0
        """Bytes of all pieces now, in flight or in memory; may exceed the limit while reads have pieces pinned."""
        self._counters = counters
        self._objects: dict[ObjectId, BufferedObject] = {}
        self._pinned: set[Piece] = set()  # in flight, or in use by a task
        # The evictable pieces, the least recently used first.
        self._finished: OrderedDict[Piece, None] = OrderedDict()  # of finished objects
        self._read: OrderedDict[Piece, None] = OrderedDict()  # of other objects, read from start to end
        self._unread: OrderedDict[Piece, None] = OrderedDict()  # of other objects, with bytes that were never read
        self._finished_size = 0  # bytes in _finished
        self._evictable_size = 0  # bytes in all three
        self._reserved_size = 0  # bytes in all three that were read ahead and not read yet

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._objects)

    def __iter__(self) -> Iterator[BufferedObject]:
        return iter(self._objects.values())

    def __contains__(self, piece: Piece) -> bool:
        return piece in self._pinned or any(piece in queue for queue in (self._finished, self._read, self._unread))

    def find(self, object_id: ObjectId) -> BufferedObject | None:
        """The object, if it is open or has pieces."""
        return self._objects.get(object_id)

    def get_or_add(self, object_id: ObjectId) -> BufferedObject:
        """The object, added if it is missing; :meth:`discard_if_unused` removes it again."""
        buffered = self._objects.get(object_id)
        if buffered is None:
            buffered = self._objects[object_id] = BufferedObject(object_id)
        return buffered

    def add(self, buffered: BufferedObject, start: int, stop: int) -> Piece:
        """Add a piece that is in flight from now on; it becomes evictable with :meth:`unpin`."""
        piece = buffered.add(start, stop)
        self.size += len(piece)
        self._pinned.add(piece)
        return piece

    @contextmanager
    def pinned(self, pieces: list[Piece]) -> Iterator[None]:
        """Protect pieces from eviction while a task needs them; then they are the most recently used."""
        for piece in pieces:
            piece.pins += 1
            if self._take_from_queue(piece):
                self._pinned.add(piece)
        try:
            yield
        finally:
            for piece in pieces:
                piece.pins -= 1
                self.unpin(piece)
            self.evict()

    def unpin(self, piece: Piece) -> None:
        """Make a piece evictable, unless it is in flight or a task uses it."""
        if piece.done.is_set() and not piece.pins and piece in self._pinned:
            self._pinned.remove(piece)
            self._queue(piece, is_finished=_is_finished(piece.object))

    def _queue(self, piece: Piece, *, is_finished: bool) -> None:
        """Put a piece at the end of one of the eviction queues."""
        self._evictable_size += len(piece)
        if is_finished:
            self._finished[piece] = None
            self._finished_size += len(piece)
        else:
            (self._unread if piece.bytes_read < len(piece) else self._read)[piece] = None
        if piece.is_read_ahead and piece.bytes_read < len(piece) and piece.object.handles:
            piece.is_reserved = True
            self._reserved_size += len(piece)

    def _take_from_queue(self, piece: Piece) -> bool:
        """Remove a piece from its eviction queue; False if it is in none."""
        for queue in (self._finished, self._read, self._unread):
            if piece in queue:
                del queue[piece]
                break
        else:
            return False
        self._evictable_size -= len(piece)
        if queue is self._finished:
            self._finished_size -= len(piece)
        if piece.is_reserved:
            piece.is_reserved = False
            self._reserved_size -= len(piece)
        return True

    def drop(self, piece: Piece) -> None:
        """Remove a piece, even while it is pinned; does nothing if it was removed before."""
        if piece in self._pinned:
            self._pinned.remove(piece)
        elif not self._take_from_queue(piece):
            return
        self.size -= len(piece)
        piece.object.remove(piece)
        if piece.data is not None and not piece.from_disk:
            self._counters.wasted += max(len(piece) - piece.bytes_read, 0)
        self.discard_if_unused(piece.object)

    def record_open(self, buffered: BufferedObject) -> None:
        """Count a new handle; the object is not finished any more."""
        buffered.handles += 1
        if buffered.handles == 1:
            self._requeue(buffered)

    def record_close(self, buffered: BufferedObject) -> None:
        """Count a closed handle; with the last one the object may be finished, and its read-ahead is not reserved."""
        buffered.handles -= 1
        if not buffered.handles:
            self._requeue(buffered)
            self.evict()

    def _requeue(self, buffered: BufferedObject) -> None:
        is_finished = _is_finished(buffered)
        for piece in dict.fromkeys(buffered.pieces.values()):
            if self._take_from_queue(piece):
                self._queue(piece, is_finished=is_finished)

    def discard_if_unused(self, buffered: BufferedObject) -> None:
        """Remove an object that is not open and has no pieces."""
        if not buffered.handles and not buffered.pieces and self._objects.get(buffered.id) is buffered:
            del self._objects[buffered.id]

    def evict(self) -> None:
        """Drop evictable pieces in eviction order until the others are within the limit."""
        while self._finished_size > self.limit // FINISHED_SHARE:
            self.drop(next(iter(self._finished)))
        for queue in (self._finished, self._read, self._unread):
            while self.size > self.limit and queue:
                self.drop(next(iter(queue)))

    def has_room(self, size: int) -> bool:
        """Whether ``size`` more bytes fit if all evictable pieces but the reserved ones are evicted."""
        return self.size - self._evictable_size + self._reserved_size + size <= self.limit

    def unread_size(self) -> int:
        """Bytes that were fetched from S3 and never read. Walks all pieces."""
        pieces = (piece for group in (self._pinned, self._finished, self._read, self._unread) for piece in group)
        fetched = (piece for piece in pieces if piece.data is not None and not piece.from_disk)
        return sum(max(len(piece) - piece.bytes_read, 0) for piece in fetched)


def _is_finished(buffered: BufferedObject) -> bool:
    """Whether the object is not open, and was read almost entirely."""
    return not buffered.handles and buffered.bytes_read() >= buffered.id.size * FINISHED_FRACTION
