"""Reads objects by version id through memory: few large requests, each byte fetched once, never a wrong one.

The path of a read, all of it in the trio thread:

1. ``ReadAhead`` and ``AccessPattern`` decide how much to fetch; ``Scheduler`` starts what is missing.
2. The read waits for its pieces, then for their verification (``rwmfs.read.verification``).
3. It returns a view of a piece, or joins several. Pieces stay pinned in the ``Buffer`` until then.

**Failure.** A read fails if one of its fetches does. The kernel repeats a failed read for its first page; so that this
does not take as long again, a repeated read fails at once for a moment.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from rwm.errors import S3Error
from rwm.model import Entry, StateInfo, UploadOrder
from rwmfs.cache import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.prefetch import AccessPattern, Prefetcher, ReadAhead
from rwmfs.read.buffer import Buffer
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import Failure, OpenObject
from rwmfs.read.pieces import Piece, join_range, wait_done
from rwmfs.read.scheduler import Scheduler
from rwmfs.read.verification import Verifier, WrongContent

SMALL = 4 * 1024 * 1024
"""Bytes up to which an object is fetched whole, however it is read."""

MAX_WHOLE = 64 * 1024 * 1024
"""Bytes up to which an object is fetched whole if it will probably be read whole. restic's packs have 16 MiB by
default."""

MAX_RANDOM_REQUESTS = 8
"""Requests for random reads in one object after which it is fetched whole."""

MAX_READ_AHEAD = 16 * 1024 * 1024
"""Bytes to read ahead of one handle at most."""

PREFETCH_SHARE = 2 / 3
"""The part of the buffer for packs that are not opened yet: MAX_PACKS of the usual size fit into the default buffer."""

FAIL_FAST_SECONDS = 1.0
"""Seconds after a read failed for which its repetition fails at once, if the read itself took longer than that."""


class Reader:
    """Reads objects of one bucket. ``rwmfs.fuse`` opens, reads and closes.

    ``nursery`` runs the fetches and must outlive all reads. ``memory`` is in bytes; ``idle`` of them are kept free for
    the idle areas of the buffer pool. ``order`` finds the upload order of the repository with a prefix in a state, in a
    worker thread; without it no packs are prefetched.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        memory: int,
        nursery: trio.Nursery,
        order: Callable[[StateInfo, str], UploadOrder] | None = None,
        *,
        idle: int = 0,
    ) -> None:
        self.counters = fetcher.counters
        self._max_whole = min(MAX_WHOLE, memory // 4)  # bytes
        self._max_read_ahead = min(MAX_READ_AHEAD, memory // 4 // BLOCK * BLOCK)  # bytes, for each handle
        self._buffer = Buffer(memory - idle, fetcher.counters)
        self._verifier = Verifier(self._buffer, fetcher, nursery)
        self.scheduler = Scheduler(fetcher, self._buffer, self._verifier, nursery, self._max_whole)
        self._access_pattern = AccessPattern()
        prefetch_memory = int((memory - idle) * PREFETCH_SHARE)
        self._prefetcher = order and Prefetcher(
            nursery, order, self.scheduler, prefetch_memory, fetcher.sizer.reads_from_disk
        )

    @property
    def memory(self) -> int:
        """Bytes in memory or in flight."""
        return self._buffer.size

    @property
    def unread(self) -> int:
        """Bytes in memory that were fetched from S3 and never read."""
        return self._buffer.unread_size()

    @property
    def running(self) -> int:
        """Fetches in flight."""
        return self.scheduler.running

    def open(self, entry: Entry, state: StateInfo | None = None, inode: int = 0) -> OpenObject:
        """Open a file, of a state if that is known. Starts no fetch of it.

        ``inode`` is the number under which the kernel caches what is read.
        """
        buffered = self._buffer.get_or_add(ObjectId(entry.key, entry.version_id, entry.size, entry.etag))
        self._buffer.record_open(buffered)
        if self.scheduler.end_prefetch(buffered.id) or entry.size <= min(SMALL, self._max_whole):
            buffered.require_whole()
        if self._prefetcher and state:
            self._prefetcher.record_open(entry, state)
        read_ahead = ReadAhead(self._max_read_ahead)
        return OpenObject(buffered, read_ahead, inode, keep_cache=self._verifier.may_keep_cache(inode))

    def close(self, file: OpenObject) -> None:
        """Close a handle; with the last one of an object, cancel fetches that no read waits for."""
        buffered = file.object
        if buffered.id.size > SMALL and file.bytes_read:
            self._access_pattern.record_close(buffered.id.size, file.bytes_read)
        self._buffer.record_close(buffered)
        if not buffered.handles:
            self.scheduler.cancel_unused(buffered)

    async def read(self, file: OpenObject, offset: int, size: int) -> bytes | memoryview:
        """Return ``size`` bytes from ``offset`` on, fewer only at the end of the object; never a short read.

        Raises S3Error if the bytes cannot be fetched, WrongContent if they do not match the object's name.
        """
        start, stop = offset, min(offset + size, file.object.id.size)
        if start >= stop:
            return b""
        begun, failure = trio.current_time(), file.failure
        if failure is not None and failure.start <= start < failure.stop and begun < failure.until:
            raise S3Error(failure.message)
        until = self._plan(file, start, stop)
        try:
            data = await self._read_twice_if_wrong(file, start, stop, until)
        except S3Error as error:
            self.counters.failed += 1
            ended = trio.current_time()
            if ended - begun > FAIL_FAST_SECONDS:
                file.failure = Failure(start, stop, ended + FAIL_FAST_SECONDS, error.message)
            raise
        file.bytes_read += len(data)
        if self._prefetcher:
            self._prefetcher.record_read(len(data))
        self.counters.served += len(data)
        return data

    def _plan(self, file: OpenObject, start: int, stop: int) -> int:
        """Decide whether to fetch the whole object from now on; return up to which byte to read ahead otherwise."""
        buffered, is_sequential = file.object, file.read_ahead.is_sequential(start)
        until = file.read_ahead.advance(start, stop)
        if buffered.whole or buffered.id.size > self._max_whole:
            return until
        buffered.random_requests += not is_sequential and any(buffered.missing(start, stop))
        wants_whole = buffered.random_requests >= MAX_RANDOM_REQUESTS or (
            start == 0 and not file.bytes_read and self._access_pattern.reads_whole
        )
        if wants_whole and self._buffer.has_room(buffered.id.size):
            buffered.require_whole()
        return until

    async def _read_twice_if_wrong(self, file: OpenObject, start: int, stop: int, until: int) -> bytes | memoryview:
        """Read a range. Retry wrong content once, unless bytes of it were returned: the network may have caused it."""
        try:
            return await self._read_range(file, start, stop, until)
        except WrongContent:
            if file.is_tainted:
                raise
            return await self._read_range(file, start, stop, until)

    async def _read_range(self, file: OpenObject, start: int, stop: int, until: int) -> bytes | memoryview:
        """Read a range from pieces that are in memory at the same time; start again if one of them is dropped."""
        buffered = file.object
        started: set[Piece] = set()
        while not file.is_tainted:
            needed, just_started = self.scheduler.schedule(buffered, start, stop, until)
            started.update(just_started)
            with self._buffer.pinned(needed):
                self._buffer.evict()  # makes room for what was started
                await wait_done(needed)
                is_verified = await self._verifier.wait_verified(file, needed[0].start, stop)
                if not is_verified or any(piece not in self._buffer for piece in needed):
                    continue
                self._verifier.record_return(file)
                pieces = [piece for piece in needed if piece.overlap(start, stop)]
                missed = (piece for piece in pieces if piece in started and not piece.from_disk)
                self.counters.missed += sum(piece.overlap(start, stop) for piece in missed)
                return join_range(pieces, start, stop)
        raise WrongContent(f"what was read of {buffered.id.key} so far is not what its name says")
