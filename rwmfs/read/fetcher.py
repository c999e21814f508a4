"""Fetches the bytes of a piece: from the disk cache, or from S3 with retries.

**Threads.** Everything runs in the trio thread, except ``ObjectReader.read_range``, which runs in worker threads, as
many as there are connections. A thread cannot be interrupted; it polls whether its piece was cancelled. When the mount
ends or a fetch times out, its thread is abandoned and keeps its connection until its request has ended.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator

import trio

from rwm.errors import BadResponse, Cancelled, Unreachable
from rwm.model import ObjectReader
from rwmfs.cache import BlockStore
from rwmfs.defaults import CONNECTIONS, FETCH_TIMEOUT
from rwmfs.read.async_store import AsyncStore
from rwmfs.read.counters import Counters
from rwmfs.read.pieces import Piece
from rwmfs.read.request_size import RequestSizer

log = logging.getLogger(__name__)

MAX_BAD_RESPONSES = 4
"""Invalid responses to one fetch before it fails."""


class Fetcher:
    """Fetches from one bucket. The scheduler calls :meth:`fetch`, in a task for each piece.

    ``source`` reads S3, ``store`` is the disk cache. A fetch takes ``timeout`` seconds at most, with all its retries;
    while it waits for a free connection, each response to another fetch gives it that time again.
    """

    def __init__(
        self,
        source: ObjectReader,
        counters: Counters,
        store: BlockStore | None = None,
        connections: int = CONNECTIONS,
        timeout: float = FETCH_TIMEOUT,
    ) -> None:
        self._source = source
        self.counters = counters
        self.store = AsyncStore(store)
        """The disk cache, off the trio thread."""
        self.sizer = RequestSizer()
        """The size of the next requests, by the responses so far."""
        self.connections = connections
        """Requests to S3 in parallel at most."""
        self._timeout = timeout  # seconds
        self._connection_limiter = trio.CapacityLimiter(connections)
        self._deadlines: dict[Piece, trio.CancelScope] = {}  # of fetches that wait for a connection

    async def fetch(self, piece: Piece) -> None:
        """Fill the piece with data, or raise RwmError."""
        if await self.store.load(piece):
            self.sizer.record_hit(len(piece))
            self.counters.from_disk += len(piece)
            return
        with trio.move_on_after(self._timeout) as scope:
            self._deadlines[piece] = scope
            try:
                piece.data = await self._request_with_retries(piece)
            finally:
                self._deadlines.pop(piece, None)
        if scope.cancelled_caught:
            piece.cancelled = True
            last = f"; the last one: {piece.last_error}" if piece.last_error else ""
            raise Unreachable(f"no usable answer within {self._timeout:.0f} s{last}")
        self.counters.fetched += len(piece)
        self._renew_deadlines()

    def _renew_deadlines(self) -> None:
        """Renew the deadlines of fetches that wait for a connection, one last time if they have one by now."""
        for piece, scope in list(self._deadlines.items()):
            scope.deadline = trio.current_time() + self._timeout
            if piece.started:
                del self._deadlines[piece]

    async def _request_with_retries(self, piece: Piece) -> memoryview:
        """Request the bytes until a response is valid.

        Errors that will not pass (absent, access denied, cancelled) are not retried.
        """
        bad_responses, backoff = 0, _backoff()
        while True:
            self.counters.requests += 1
            try:
                return await trio.to_thread.run_sync(
                    self._request, piece, abandon_on_cancel=True, limiter=self._connection_limiter
                )
            except (Unreachable, BadResponse) as error:
                piece.last_error = error.message
                bad_responses += isinstance(error, BadResponse)
                if piece.cancelled or bad_responses == MAX_BAD_RESPONSES:
                    raise
                pause = next(backoff)
                log.log(logging.INFO if pause > 1 else logging.DEBUG, "retry in %.1f s: %s", pause, error.message)
            self.counters.retried += 1
            await trio.sleep(pause)

    def _request(self, piece: Piece) -> memoryview:
        """Make one request; runs in a worker thread."""
        if piece.cancelled:
            raise Cancelled("cancelled before the request")
        piece.started = True
        key, version_id, _, etag = piece.object.id
        begun = time.monotonic()
        data = self._source.read_range(key, version_id, piece.start, piece.stop, lambda: not piece.cancelled, etag)
        self.sizer.record_response(len(data), time.monotonic() - begun)
        if len(data) != len(piece):
            raise BadResponse(f"the response has {len(data)} bytes instead of {len(piece)}")
        return memoryview(data)


def _backoff() -> Iterator[float]:
    """Seconds between two attempts: doubling up to 10, with jitter of a half."""
    longest = 0.2
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - jitter
        longest = min(longest * 2, 10.0)
