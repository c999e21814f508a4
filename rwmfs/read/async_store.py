"""The disk cache as the trio thread uses it: in worker threads, with a timeout for a disk that hangs.

A disk can hang: a network file system whose server is down, a device that retries. A thread that waits for it cannot
be interrupted and keeps its place in the limiter. Writes have a limiter of their own, so a hanging write delays no
read. A disk that is slow but answers does not time out.
"""

from __future__ import annotations

import logging

import trio

from rwmfs.cache import BlockStore, StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.pieces import Piece

log = logging.getLogger(__name__)

READ_THREADS = 4
WRITE_THREADS = 4

DISK_TIMEOUT = 10.0
"""Seconds without any answer of the disk after which pending reads give up and ask S3."""

SUSPEND = 60.0
"""Seconds without reads and writes after a timeout. Then one read tries the disk again."""

MAX_UNWRITTEN = 64 * 1024 * 1024
"""Bytes of pending writes beyond which further pieces are not written, so that a slow disk does not fill memory."""


class _PendingRead:
    """A read that waits for the disk, with its deadline."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope(deadline=trio.current_time() + DISK_TIMEOUT)
        self.started = False
        """A thread has started the read; that thread sets it."""
        self._is_last = False  # the deadline was renewed after the read had started

    def renew_deadline(self) -> None:
        """Renew the deadline because the disk has answered another read; once only after this one has started."""
        if not self._is_last:
            self.scope.deadline = trio.current_time() + DISK_TIMEOUT
            self._is_last = self.started


class AsyncStore:
    """Loads pieces from a :class:`BlockStore` and saves them there. Without a ``store`` it does nothing.

    All methods run in the trio thread. The fetcher loads each piece before it asks S3; the scheduler and the verifier
    save pieces that came from S3.
    """

    def __init__(self, store: BlockStore | None) -> None:
        self._store = store
        self._read_limiter = trio.CapacityLimiter(READ_THREADS)
        self._write_limiter = trio.CapacityLimiter(WRITE_THREADS)
        self._unwritten = 0  # bytes of pending writes
        self._pending_reads: set[_PendingRead] = set()
        self._is_hanging = False  # a read timed out, and none has succeeded since
        self._resume_at = 0.0  # trio.current_time() from which one read may try a hanging disk again

    async def load(self, piece: Piece) -> bool:
        """Fill the piece from disk; False if it is not there or the disk hangs."""
        if self._store is None or piece.object.mismatches or self._is_suspended():
            return False
        pending = _PendingRead()
        self._pending_reads.add(pending)
        try:
            with pending.scope:
                found = await trio.to_thread.run_sync(
                    self._read, self._store, piece, pending, abandon_on_cancel=True, limiter=self._read_limiter
                )
        finally:
            self._pending_reads.remove(pending)
        if pending.scope.cancelled_caught:
            self._suspend()
        elif found is not None:
            piece.data, piece.verified = found
            piece.from_disk = piece.stored = True
            if not pending.scope.cancel_called:
                self._record_answer()
        return piece.from_disk

    def _read(self, store: BlockStore, piece: Piece, pending: _PendingRead) -> StoredRange | None:
        pending.started = True
        return store.read(piece.object.id, piece.start, piece.stop)

    async def save(self, piece: Piece, *, verified: bool) -> None:
        """Write a piece that came from S3, once.

        Skips a piece of an object with a mismatch, and any piece while the disk hangs or too many writes are pending.
        """
        if self._store is None or piece.stored or piece.data is None or piece.is_rejected():
            return
        if self._unwritten > MAX_UNWRITTEN or self._is_suspended():
            return
        piece.stored = True
        self._unwritten += len(piece)
        try:
            await trio.to_thread.run_sync(
                self._write,
                self._store,
                piece,
                piece.data,
                verified,
                abandon_on_cancel=True,
                limiter=self._write_limiter,
            )
        finally:
            self._unwritten -= len(piece)
        if piece.is_rejected():  # the mismatch was found during the write
            await self.drop(piece.object.id)

    def _write(self, store: BlockStore, piece: Piece, data: memoryview, verified: bool) -> None:
        if not piece.is_rejected():
            store.write(piece.object.id, piece.start, data, verified=verified)

    async def drop(self, object_id: ObjectId) -> None:
        """Remove an object with wrong content from disk."""
        if self._store is not None:
            await trio.to_thread.run_sync(
                self._store.drop, object_id, abandon_on_cancel=True, limiter=self._write_limiter
            )

    def _is_suspended(self) -> bool:
        """Whether the disk hangs and SUSPEND has not passed, or another read is trying the disk."""
        return self._is_hanging and (trio.current_time() < self._resume_at or bool(self._pending_reads))

    def _record_answer(self) -> None:
        """The disk has answered. A miss does not count: the system may know it without asking the disk."""
        self._is_hanging = False
        for pending in self._pending_reads:
            pending.renew_deadline()

    def _suspend(self) -> None:
        """Cancel all pending reads and use S3 alone for a while; log the first of several timeouts in a row."""
        if not self._is_hanging:
            log.warning("the disk cache did not answer within %.0f s: all reads go to S3 for now", DISK_TIMEOUT)
        self._is_hanging = True
        self._resume_at = trio.current_time() + SUSPEND
        for pending in self._pending_reads:
            pending.scope.cancel()
