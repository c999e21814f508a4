"""The cache on disk as a mount uses it: in threads, and no reader waits for one that hangs.

A disk can hang: a network file system whose server is away, a device that tries again and again. A thread that waits
for it cannot be stopped, and keeps its place. Writing has places of its own, so what cannot be written holds up no
reader. A disk that is only slow goes on answering, and is waited for.
"""

from __future__ import annotations

import logging
from typing import Protocol

import trio

from rwmfs.cache import StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.pieces import Piece

log = logging.getLogger(__name__)

READING = 4
WRITING = 4
"""Threads at a time."""

SECONDS = 10.0
"""How long readers wait while nothing comes from the disk. Then S3 is asked."""

PAUSE = 60.0
"""Seconds for which a disk that hangs is left alone. Then one reader tries again."""

UNWRITTEN = 64 * 1024 * 1024
"""Bytes that may wait for the disk. What comes beyond is not kept there: reading does not wait for it."""


class Store(Protocol):
    """A cache on disk: :class:`rwmfs.cache.store.DiskCache`. Any thread may call it, and no call raises."""

    def read(self, identity: ObjectId, start: int, stop: int) -> StoredRange | None:
        """Exactly those bytes, or None."""

    def write(self, identity: ObjectId, start: int, data: memoryview, *, proven: bool) -> None:
        """Keep them, if there is room; ``proven`` says that the object is what its name says."""

    def drop(self, identity: ObjectId) -> None:
        """Its content was found to be wrong."""


class _Waiting:
    """A reader who waits for the disk. ``begun`` says that a thread is at it."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope(deadline=trio.current_time() + SECONDS)
        self.begun = False
        self._is_last = False

    def renew(self) -> None:
        """Give all of the time again to who waits for his turn, and once more to who has had it."""
        if not self._is_last:
            self.scope.deadline = trio.current_time() + SECONDS
            self._is_last = self.begun


class AsyncStore:
    """Keeps pieces on disk, and finds them there. Used from the trio thread. Without a ``disk`` it does nothing."""

    def __init__(self, disk: Store | None) -> None:
        self._disk = disk
        self._reading = trio.CapacityLimiter(READING)
        self._writing = trio.CapacityLimiter(WRITING)
        self._unwritten = 0
        self._waiting: set[_Waiting] = set()
        self._hangs = False
        self._resume_at = 0.0

    async def find(self, piece: Piece) -> bool:
        """Put the data into the piece, if it is there."""
        if self._disk is None or piece.held.rejected or self._is_left_alone():
            return False
        waiting = _Waiting()
        self._waiting.add(waiting)
        try:
            with waiting.scope:
                kept = await trio.to_thread.run_sync(
                    self._read, self._disk, piece, waiting, abandon_on_cancel=True, limiter=self._reading
                )
        finally:
            self._waiting.remove(waiting)
        if waiting.scope.cancelled_caught:
            self._leave_alone()
        elif kept is not None:
            piece.data, piece.proven = kept
            piece.on_disk = piece.kept = True
            if not waiting.scope.cancel_called:
                self._answers()
        return piece.on_disk

    def _read(self, disk: Store, piece: Piece, waiting: _Waiting) -> StoredRange | None:
        waiting.begun = True
        return disk.read(piece.held.id, piece.start, piece.stop)

    async def keep(self, piece: Piece, *, proven: bool) -> None:
        """Write a piece that came from S3, once, unless it is wrong, or too many wait for that already."""
        if self._disk is None or piece.kept or piece.data is None or piece.rejected():
            return
        if self._unwritten > UNWRITTEN or self._is_left_alone():
            return
        piece.kept = True
        self._unwritten += len(piece)
        try:
            await trio.to_thread.run_sync(
                self._write, self._disk, piece, piece.data, proven, abandon_on_cancel=True, limiter=self._writing
            )
        finally:
            self._unwritten -= len(piece)
        if piece.rejected():  # meanwhile
            await self.disown(piece.held.id)

    def _write(self, disk: Store, piece: Piece, data: memoryview, proven: bool) -> None:
        if not piece.rejected():
            disk.write(piece.held.id, piece.start, data, proven=proven)

    async def disown(self, identity: ObjectId) -> None:
        """Forget what is there of an object whose content is wrong."""
        if self._disk is not None:
            await trio.to_thread.run_sync(self._disk.drop, identity, abandon_on_cancel=True, limiter=self._writing)

    def _is_left_alone(self) -> bool:
        """Whether the disk hangs, and it is not time to try again, or somebody does."""
        return self._hangs and (trio.current_time() < self._resume_at or bool(self._waiting))

    def _answers(self) -> None:
        """Something came, so the disk does not hang. A miss does not tell: the system may know of it by itself."""
        self._hangs = False
        for waiting in self._waiting:
            waiting.renew()

    def _leave_alone(self) -> None:
        """Do without the disk for a while. Nobody waits on, and it is said once."""
        if not self._hangs:
            log.warning("the disk cache gave no answer within %.0f s: everything comes from S3 for now", SECONDS)
        self._hangs = True
        self._resume_at = trio.current_time() + PAUSE
        for waiting in self._waiting:
            waiting.scope.cancel()
