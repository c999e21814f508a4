"""Gets the bytes of a piece: from the cache on disk, or from S3, asked again for as long as it makes sense.

**What runs where.** Everything here runs in the trio thread but ``ObjectReader.read_range``, which runs in worker
threads, at most ``connections`` at a time. A thread cannot be stopped: it asks now and then whether its piece is still
wanted. When the mount ends or the time is up it is left to itself, and keeps its place until its request has ended.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator

import trio

from rwm.errors import BadResponse, Cancelled, Unreachable
from rwm.model import ObjectReader
from rwmfs.defaults import CONNECTIONS, PATIENCE
from rwmfs.read.async_store import AsyncStore, Store
from rwmfs.read.counters import Counters
from rwmfs.read.pieces import Piece
from rwmfs.read.request_size import Pace

log = logging.getLogger(__name__)


BAD_ANSWERS = 4
"""Answers that cannot be right, one after the other, before the reader gets an error."""


class Fetcher:
    """Fetches from one bucket. ``seconds`` bounds one fetch with all that is tried for it, see PATIENCE."""

    def __init__(
        self,
        source: ObjectReader,
        counters: Counters,
        disk: Store | None = None,
        connections: int = CONNECTIONS,
        seconds: float = PATIENCE,
    ) -> None:
        self._source = source
        self.counters = counters
        self.keeper = AsyncStore(disk)
        self._seconds = seconds
        self.connections = connections
        self._places = trio.CapacityLimiter(connections)
        self._in_line: dict[Piece, trio.CancelScope] = {}  # who waits for a connection, and for how long
        self.pace = Pace()

    async def fetch(self, piece: Piece) -> None:
        """Put the data into the piece. Raises the RwmError that says why it cannot be had."""
        if await self.keeper.find(piece):
            self.pace.stored(len(piece))
            self.counters.from_disk += len(piece)
            return
        with trio.move_on_after(self._seconds) as scope:
            self._in_line[piece] = scope
            try:
                piece.data = await self._ask(piece)
            finally:
                self._in_line.pop(piece, None)
        if scope.cancelled_caught:
            piece.cancelled = True
            last = f"; the last one: {piece.trouble}" if piece.trouble else ""
            raise Unreachable(f"no usable answer within {self._seconds:.0f} s{last}")
        self.counters.fetched += len(piece)
        self._give_time()

    def _give_time(self) -> None:
        """There was an answer: who waited for a connection till now has all of its time before it."""
        for piece, scope in list(self._in_line.items()):
            scope.deadline = trio.current_time() + self._seconds
            if piece.asked:
                del self._in_line[piece]

    async def _ask(self, piece: Piece) -> memoryview:
        """Ask S3 until there is an answer. What is absent, refused or not wanted any more is not asked for again."""
        bad, pauses = 0, _pauses()
        while True:
            self.counters.requests += 1
            try:
                return await trio.to_thread.run_sync(self._get, piece, abandon_on_cancel=True, limiter=self._places)
            except (Unreachable, BadResponse) as error:
                piece.trouble = error.message
                bad += isinstance(error, BadResponse)
                if piece.cancelled or bad == BAD_ANSWERS:
                    raise
                pause = next(pauses)
                log.log(
                    logging.INFO if pause > 1 else logging.DEBUG, "asking again in %.1f s: %s", pause, error.message
                )
            self.counters.retried += 1
            await trio.sleep(pause)

    def _get(self, piece: Piece) -> memoryview:
        if piece.cancelled:
            raise Cancelled("given up before it was asked for")
        piece.asked = True
        key, version_id, _, etag = piece.held.id
        began = time.monotonic()
        data = self._source.read_range(key, version_id, piece.start, piece.stop, lambda: not piece.cancelled, etag)
        self.pace.came(len(data), time.monotonic() - began)
        if len(data) != len(piece):
            raise BadResponse(f"{len(data)} bytes came where {len(piece)} were asked for")
        return memoryview(data)


def _pauses() -> Iterator[float]:
    """Seconds between two attempts: growing, and never the same for all who wait."""
    longest = 0.2
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - jitter
        longest = min(longest * 2, 10.0)
