"""Pieces of object versions: byte ranges in memory or in flight. Pure but for the event of a finished fetch.

A piece is the result of one request: a range of an object version of at most ``RequestSizer.request_size`` or a quarter
more. Pieces of one object never overlap. They begin and end at block boundaries, or at the object's end, so that a few
look-ups by block number tell whether a range is there.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from rwm.errors import Archived, RwmError, S3Error
from rwmfs.cache import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.read.content_hash import ContentHash
from rwmfs.read.request_size import DEFAULT_REQUEST_SIZE
from rwmfs.read.unverified import UnverifiedReads


class Piece:
    """A range of an object version.

    The scheduler adds it to the buffer, the fetcher fills it, reads wait for ``done`` and use ``data``. The trio thread
    sets all fields but ``started``, which the worker thread of the request sets; that thread also polls ``cancelled``.
    """

    __slots__ = (
        "_mismatches",
        "bytes_read",
        "cancelled",
        "data",
        "done",
        "error",
        "from_disk",
        "is_read_ahead",
        "is_reserved",
        "last_error",
        "object",
        "pins",
        "start",
        "started",
        "stop",
        "stored",
        "verified",
    )

    def __init__(self, buffered: BufferedObject, start: int, stop: int) -> None:
        self.object = buffered
        self.start = start
        """First byte in the object."""
        self.stop = stop
        """End in the object, exclusive."""
        self.done = trio.Event()
        """Set when the fetch has ended: ``data`` or ``error`` is there."""
        self.data: memoryview | None = None
        """The bytes."""
        self.error: RwmError | None = None
        """Why there is no data."""
        self.pins = 0
        """Tasks that wait for the piece or use it; it is not evicted before they have finished."""
        self.bytes_read = 0
        """Bytes that were returned to readers; may exceed the length if some were read again."""
        self.is_read_ahead = False
        """Fetched ahead of a reader of the object, at least in part."""
        self.is_reserved = False
        """Counted by the buffer as space that a reader still needs."""
        self.started = False
        """A thread has started the request."""
        self.cancelled = False
        """Tells the thread to stop."""
        self.last_error = ""
        """Message of the last failed attempt."""
        self.from_disk = False
        """Came from the disk cache."""
        self.stored = False
        """Is in the disk cache, or is being written there."""
        self.verified = False
        """The disk cache says that the whole object was verified before."""
        self._mismatches = buffered.mismatches

    def is_rejected(self) -> bool:
        """Whether the object had a mismatch since this piece was made."""
        return self._mismatches != self.object.mismatches

    def __len__(self) -> int:
        return self.stop - self.start

    def overlap(self, start: int, stop: int) -> int:
        """How many bytes of a range it has."""
        return max(min(self.stop, stop) - max(self.start, start), 0)


class BufferedObject:
    """An object version that is open, or of which pieces are in memory or in flight. Used in the trio thread only."""

    __slots__ = (
        "content_hash",
        "exposed_mismatches",
        "handles",
        "id",
        "last_logged",
        "mismatches",
        "pieces",
        "random_requests",
        "unverified_reads",
        "whole",
    )

    def __init__(self, object_id: ObjectId) -> None:
        self.id = object_id
        self.pieces: dict[int, Piece] = {}
        """By block number; a piece has an entry for each of its blocks."""
        self.content_hash = ContentHash(object_id)
        """The present hash; replaced when it has to start again."""
        self.whole = False
        """No byte is returned before all of the object is in memory and verified, if its name allows that."""
        self.handles = 0
        """Open handles."""
        self.random_requests = 0
        """Reads that continued no run and needed a request."""
        self.unverified_reads = UnverifiedReads()
        """The inodes that were given bytes before a verdict."""
        self.mismatches = 0
        """How often the content did not match."""
        self.exposed_mismatches = 0
        """How often of these bytes had been returned before."""
        self.last_logged = ""
        """The last error in the log, see ``rwmfs.read.verification.log_once``."""

    def require_whole(self) -> None:
        """Return no byte from now on before all of the object is in memory and verified."""
        if not self.whole:
            self.whole = True
            self._restart_hash()

    def reject(self) -> None:
        """Record a mismatch: all present pieces and all bytes returned so far may be wrong."""
        self.mismatches += 1
        if self.unverified_reads:
            self.exposed_mismatches += 1
        self.unverified_reads.clear()

    def add(self, start: int, stop: int) -> Piece:
        """Add a piece where there is none. Bytes that are in the hash already may differ when fetched again."""
        if start < self.content_hash.position:
            self._restart_hash()
        piece = Piece(self, start, stop)
        for block in _blocks(start, stop):
            self.pieces[block] = piece
        return piece

    def remove(self, piece: Piece) -> None:
        """Remove a piece. Its bytes may differ when fetched again, so a verdict does not outlast it."""
        for block in _blocks(piece.start, piece.stop):
            del self.pieces[block]
        if piece.bytes_read:
            self.unverified_reads.record_eviction(is_hashed=piece.stop <= self.content_hash.position)
        if self.whole or self.content_hash.verdict is not None:
            self._restart_hash()

    def _restart_hash(self) -> None:
        self.unverified_reads.restart()
        self.content_hash.abandon()
        self.content_hash = ContentHash(self.id)

    def bytes_read(self) -> int:
        """Bytes of the present pieces that were returned to readers."""
        return sum(min(piece.bytes_read, len(piece)) for piece in set(self.pieces.values()))

    def covering(self, start: int, stop: int) -> Iterator[Piece]:
        """The pieces that overlap a range, in order."""
        while start < stop:
            piece = self.pieces.get(start // BLOCK)
            if piece is not None:
                yield piece
            start = piece.stop if piece is not None else (start // BLOCK + 1) * BLOCK

    def piece_at(self, position: int) -> Piece | None:
        """The piece with the byte at a position, if its data is there."""
        piece = self.pieces.get(position // BLOCK)
        return piece if piece is not None and piece.data is not None else None

    def missing(self, start: int, stop: int, size: int = DEFAULT_REQUEST_SIZE) -> Iterator[tuple[int, int]]:
        """The subranges of a range that no piece covers, each to be fetched by one request of about ``size`` bytes.

        The caller may add pieces while it iterates. Over a fast link (``size`` above the default) a remainder of up to
        a quarter is joined to the request before it; over a slow one it arrives sooner by itself.
        """
        stop = min(stop, self.id.size)
        block, end = start // BLOCK, -(-stop // BLOCK) if start < stop else 0
        usual = size // BLOCK
        most = usual + usual // 4 if size > DEFAULT_REQUEST_SIZE else usual
        while block < end:
            piece = self.pieces.get(block)
            if piece is not None:
                block = -(-piece.stop // BLOCK)
                continue
            first = block
            while block < end and block - first < most and block not in self.pieces:
                block += 1
            if block < end and block not in self.pieces:  # more is missing than one request takes
                block = first + usual
            yield first * BLOCK, min(block * BLOCK, self.id.size)


def _blocks(start: int, stop: int) -> range:
    return range(start // BLOCK, -(-stop // BLOCK))


def join_range(pieces: list[Piece], start: int, stop: int) -> bytes | memoryview:
    """The bytes of a range from consecutive pieces that cover it; a view if a single piece does.

    Counts them as read.
    """
    views = []
    for piece in pieces:
        assert piece.data is not None
        view = piece.data[max(start - piece.start, 0) : stop - piece.start]
        piece.bytes_read += len(view)
        views.append(view)
    return views[0] if len(views) == 1 else b"".join(views)


async def wait_done(pieces: list[Piece]) -> None:
    """Wait until all fetches have ended; raise the error of the first piece that failed, as Archived or an S3Error."""
    for piece in pieces:
        if not piece.done.is_set():  # waiting for an event that is set would still yield to other tasks
            await piece.done.wait()
        if piece.error is not None:
            kind = Archived if isinstance(piece.error, Archived) else S3Error
            raise kind(piece.error.message, hint=piece.error.hint) from piece.error
