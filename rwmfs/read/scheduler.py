"""Starts and cancels fetches: for reads, for read-ahead, for prefetches of whole objects.

**Priority.** A fetch that a read waits for starts at once, and queues for a connection in the fetcher if all are in
use. Read-ahead and prefetches start only while more than one connection is free, and while they fit into memory.

**Tasks.** A fetch is a task of the nursery, not of the read that needs it: cancelling a read does not cancel its
fetches, which other reads may wait for. When the last handle of an object is closed, fetches that no read waits for are
cancelled. Everything here runs in the trio thread. There is no await between the look-up of missing ranges and the
start of their fetches, so no byte is fetched twice at a time.

**Failure.** A failed fetch fails the reads that wait for it, and its piece is dropped: a later read tries again. A
failed read-ahead fails no read. An error is logged once for all pieces of an object.
"""

from __future__ import annotations

import logging

import trio

from rwm.errors import Archived, RwmError, S3Error, Unreachable
from rwmfs.object_id import ObjectId
from rwmfs.read.buffer import Buffer
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.pieces import BufferedObject, Piece
from rwmfs.read.verification import Verifier, log_once

log = logging.getLogger(__name__)


class Scheduler:
    """The fetches of one mount.

    ``Reader`` calls :meth:`schedule` for each read; ``rwmfs.prefetch`` calls :meth:`prefetch`, :meth:`cancel_prefetch`
    and :meth:`is_buffered`. Objects of more than ``max_whole`` bytes are not prefetched.
    """

    def __init__(
        self, fetcher: Fetcher, buffer: Buffer, verifier: Verifier, nursery: trio.Nursery, max_whole: int
    ) -> None:
        self._fetcher = fetcher
        self._buffer = buffer
        self._verifier = verifier
        self._nursery = nursery
        self._max_whole = max_whole
        self._prefetches: dict[ObjectId, int] = {}  # in order; the value is up to which byte fetches were started
        self.running = 0
        """Fetches that have started and not ended."""

    def schedule(self, buffered: BufferedObject, start: int, stop: int, until: int) -> tuple[list[Piece], list[Piece]]:
        """Start what is missing for a read of ``start`` to ``stop`` and for read-ahead up to ``until``.

        Returns the pieces that the read has to wait for, in order, and those of them whose fetch was started just now.
        """
        size = self._request_size()
        if buffered.whole:
            start, stop = 0, buffered.id.size
        joined = max(min(until, start + size), stop)
        if not (self._is_busy() and self._buffer.has_room(joined - start) and any(buffered.missing(start, stop))):
            joined = stop
        # While no connection is free for read-ahead, it is part of the request that the read needs anyway.
        parts = buffered.missing(start, joined, size)
        started = [self._start_fetch(buffered, *part, is_read_ahead=part[1] > stop) for part in parts]
        for part in buffered.missing(stop, until, size):
            if self._is_busy() or not self._buffer.has_room(part[1] - part[0]):
                break
            self._start_fetch(buffered, *part, is_read_ahead=True)
        return list(buffered.covering(start, stop)), started

    def prefetch(self, object_id: ObjectId) -> bool:
        """Fetch a whole object as soon as no read needs the connections.

        False if it is too large, already open, or partly in memory.
        """
        if object_id.size > self._max_whole or self._buffer.find(object_id) is not None:
            return False
        self._prefetches[object_id] = 0
        self._start_prefetches()
        return True

    def cancel_prefetch(self, object_id: ObjectId) -> None:
        """Cancel an unused prefetch and drop what it fetched; keeps an object that is open."""
        buffered = self._buffer.get_or_add(object_id)
        self._prefetches.pop(object_id, None)
        if not buffered.handles:
            self.cancel_unused(buffered)
            for piece in set(buffered.pieces.values()):
                if not piece.pins:
                    self._buffer.drop(piece)
        self._buffer.discard_if_unused(buffered)

    def end_prefetch(self, object_id: ObjectId) -> bool:
        """Take an object that is opened off the prefetch queue; whether it was there."""
        return self._prefetches.pop(object_id, None) is not None

    def is_buffered(self, object_id: ObjectId) -> bool:
        """Whether all of an object is in memory."""
        buffered = self._buffer.find(object_id)
        if buffered is None or any(buffered.missing(0, object_id.size)):
            return False
        return all(piece.done.is_set() for piece in buffered.pieces.values())

    def cancel_unused(self, buffered: BufferedObject) -> None:
        """Cancel the fetches of an object that no read waits for."""
        for piece in set(buffered.pieces.values()):
            if not piece.done.is_set() and not piece.pins:
                piece.cancelled = True
                self._buffer.drop(piece)
        self._buffer.discard_if_unused(buffered)

    def _request_size(self) -> int:
        return self._fetcher.sizer.request_size(self.running, self._fetcher.connections)

    def _is_busy(self) -> bool:
        """Whether at most one connection is free, which is reserved for reads."""
        return self.running >= self._fetcher.connections - 1

    def _start_prefetches(self) -> None:
        """Start fetches for the prefetch queue while connections and memory are free."""
        while self._prefetches and not self._is_busy():
            object_id, position = next(iter(self._prefetches.items()))
            buffered = self._buffer.get_or_add(object_id)
            buffered.require_whole()
            part = next(buffered.missing(position, object_id.size, self._request_size()), None)
            if part is None:
                del self._prefetches[object_id]
                self._buffer.discard_if_unused(buffered)
            elif self._buffer.has_room(part[1] - part[0]):
                self._prefetches[object_id] = part[1]
                self._start_fetch(buffered, *part)
                self._buffer.evict()
            else:
                self._buffer.discard_if_unused(buffered)
                return

    def _start_fetch(self, buffered: BufferedObject, start: int, stop: int, *, is_read_ahead: bool = False) -> Piece:
        piece = self._buffer.add(buffered, start, stop)
        piece.is_read_ahead = is_read_ahead
        self.running += 1
        self._nursery.start_soon(self._fetch, piece)
        return piece

    async def _fetch(self, piece: Piece) -> None:
        """Fetch a piece, wake its readers, verify it, save it on disk."""
        piece.error = Unreachable("the mount ends")  # unless the fetch ends before
        try:
            await self._fetcher.fetch(piece)
            piece.error = None
        except RwmError as error:
            # A copy: the traceback of the original keeps this piece and the memory of the response alive.
            piece.error = type(error)(error.message, hint=error.hint)
            self._log_failure(piece, error)
        except Exception as error:
            piece.error = S3Error(f"unexpected {type(error).__name__}: {error}")
            log.exception("cannot read %s (version %s)", piece.object.id.key, piece.object.id.version_id)
        finally:
            self.running -= 1
            piece.done.set()
            self._buffer.unpin(piece)
            if piece.error is not None:
                self._prefetches.pop(piece.object.id, None)
                self._buffer.drop(piece)
        self._start_prefetches()
        self._buffer.evict()
        if piece.error is None:
            buffered, content_hash = piece.object, piece.object.content_hash
            await self._verifier.verify(buffered, content_hash)
            if not (buffered.whole and content_hash.is_possible):  # the verifier saves those after the verdict
                await self._fetcher.store.save(piece, verified=False)

    def _log_failure(self, piece: Piece, error: RwmError) -> None:
        if piece not in self._buffer:  # cancelled
            return
        key, version_id, *_ = piece.object.id
        if piece.pins:
            hint = f" ({error.hint})" if isinstance(error, Archived) else ""
            log_once(piece.object, f"cannot read {key} (version {version_id}): {error.why}{hint}")
        else:
            log.debug("cannot read %s (version %s): %s", key, version_id, error.why)
