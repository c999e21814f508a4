"""Reads objects by version id through a cache: in blocks, with few and large requests, each block once.

**What runs where.** Everything here runs in the trio thread but ``ObjectReader.read_range``, which runs in worker
threads, at most ``connections`` at a time. Between two awaits nothing else runs: finding out which blocks are missing
and putting their fetches on record is one step (``_collect``), so a block is never fetched twice at a time.

**Who waits for what.** A fetch is a task of the nursery that the reader was given, not of the read that caused it: a
read that is cancelled leaves its fetches to the others who wait for them, and to the cache. A read holds on to the
fetches it waits for, so the cache may drop a block between its arrival and its use.

**Failure.** A fetch that fails fails the reads that wait for it at that moment, and is forgotten: the next read tries
again. It is logged once, where it happens. A failed fetch ahead of a reader fails nobody.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import trio

from rwm.errors import BadResponse, RwmError, S3Error, Unreachable
from rwm.model import ObjectReader
from rwmfs.cache import BLOCK, BlockCache, BlockId
from rwmfs.readahead import WINDOW, Readahead

log = logging.getLogger(__name__)

SMALL = WINDOW * BLOCK
"""Bytes up to which an object is fetched whole, however it is read."""

AHEAD = 16
"""Blocks to read ahead at most."""

CONNECTIONS = 16
FETCH_SECONDS = 300.0
"""After this long a fetch has failed, whatever the S3 layer still tries: a server that sends a byte now and then would
otherwise hold a reader for ever."""


class ObjectId(NamedTuple):
    """An object version with its size in bytes, as the state records it."""

    key: str
    version_id: str
    size: int


class _Fetch:
    """A request under way for the blocks ``first`` to ``stop`` (exclusive)."""

    __slots__ = ("blocks", "done", "error", "first", "stop", "waiting")

    def __init__(self, first: int, stop: int) -> None:
        self.first = first
        self.stop = stop
        self.done = trio.Event()
        self.blocks: list[bytes] = []
        self.error: RwmError | None = None
        self.waiting = 0


class OpenObject:
    """An object as one reader sees it: its identity and the run of reads that it makes."""

    __slots__ = ("id", "readahead")

    def __init__(self, identity: ObjectId, readahead: Readahead) -> None:
        self.id = identity
        self.readahead = readahead


class BlockReader:
    """Reads objects of one bucket. ``nursery`` holds the fetches and must outlive all reads."""

    def __init__(
        self,
        source: ObjectReader,
        cache: BlockCache,
        nursery: trio.Nursery,
        connections: int = CONNECTIONS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self._source = source
        self._cache = cache
        self._nursery = nursery
        self._connections = connections
        self._limiter = trio.CapacityLimiter(connections)
        self._fetch_seconds = fetch_seconds
        self._ahead = min(AHEAD, cache.limit // BLOCK // 4)
        self._missing: dict[BlockId, _Fetch] = {}
        self._running = 0

    def open(self, identity: ObjectId) -> OpenObject:
        """A reader of its own on an object. Costs nothing, fetches nothing, needs no closing."""
        return OpenObject(identity, Readahead(self._ahead))

    async def read(self, file: OpenObject, offset: int, size: int) -> bytes | memoryview:
        """The bytes from ``offset`` on: ``size`` of them, fewer only where the object ends; never a short read.

        Raises S3Error when the bytes cannot be had.
        """
        start, stop = offset, min(offset + size, file.id.size)
        if start >= stop:
            return b""
        fetches, blocks = self._collect(file, start, stop)
        await _all_done(fetches)
        for fetch in fetches:
            blocks.update(enumerate(fetch.blocks, fetch.first))
        first, last = start // BLOCK, (stop - 1) // BLOCK + 1
        return _cut([blocks[number] for number in range(first, last)], start - first * BLOCK, stop - start)

    def _collect(self, file: OpenObject, start: int, stop: int) -> tuple[list[_Fetch], dict[int, bytes]]:
        """The fetches that a read has to wait for, each put on its way, and the blocks that are here already."""
        total = -(-file.id.size // BLOCK)
        first, last = start // BLOCK, (stop - 1) // BLOCK + 1
        until = file.readahead.wanted(start, stop, total)
        small = file.id.size <= SMALL
        fetches: list[_Fetch] = []
        blocks: dict[int, bytes] = {}
        for number in range(0 if small else first, total if small else until):
            block_id = BlockId(self._source.bucket, file.id.key, file.id.version_id, number)
            needed = first <= number < last
            fetch = self._missing.get(block_id)
            data = self._cache.get(block_id) if fetch is None else None
            if fetch is None and data is None and (needed or self._may_speculate()):
                fetch = self._start(file.id, number, total if small else until)
            if needed and data is not None:
                blocks[number] = data
            if needed and fetch is not None and fetch not in fetches:
                fetches.append(fetch)
        return fetches, blocks

    def _may_speculate(self) -> bool:
        return self._running < self._connections - 1

    def _start(self, identity: ObjectId, first: int, until: int) -> _Fetch:
        """Put a fetch on its way for a missing block and the missing ones after it, as many as one GET takes."""
        stop = first
        fetch = _Fetch(first, until)
        while stop < min(until, first + WINDOW):
            block_id = BlockId(self._source.bucket, identity.key, identity.version_id, stop)
            if block_id in self._missing or self._cache.get(block_id) is not None:
                break
            self._missing[block_id] = fetch
            stop += 1
        fetch.stop = stop
        self._running += 1
        self._nursery.start_soon(self._run, identity, fetch)
        return fetch

    async def _run(self, identity: ObjectId, fetch: _Fetch) -> None:
        """Fetch, hand over, and clear the record, whatever happens."""
        fetch.error = Unreachable("the mount ends")
        ids = [
            BlockId(self._source.bucket, identity.key, identity.version_id, number)
            for number in range(fetch.first, fetch.stop)
        ]
        try:
            fetch.blocks = await self._fetch(identity, fetch)
            fetch.error = None
            for block_id, block in zip(ids, fetch.blocks, strict=True):
                self._cache.put(block_id, block)
        except RwmError as error:
            fetch.error = error
            level = logging.ERROR if fetch.waiting else logging.DEBUG
            log.log(level, "cannot read %s (version %s): %s", identity.key, identity.version_id, error.message)
        except Exception as error:
            fetch.error = S3Error(f"unexpected {type(error).__name__}: {error}")
            log.exception("cannot read %s (version %s)", identity.key, identity.version_id)
        finally:
            for block_id in ids:
                del self._missing[block_id]
            self._running -= 1
            fetch.done.set()

    async def _fetch(self, identity: ObjectId, fetch: _Fetch) -> list[bytes]:
        start, stop = fetch.first * BLOCK, min(fetch.stop * BLOCK, identity.size)

        def blocks() -> list[bytes]:
            data = self._source.read_range(identity.key, identity.version_id, start, stop)
            if len(data) != stop - start:
                raise BadResponse(f"{len(data)} bytes came where {stop - start} were asked for")
            if len(data) <= BLOCK:
                return [data]
            view = memoryview(data)
            # Copies, so that a block in the cache does not keep its neighbours in memory.
            return [bytes(view[offset : offset + BLOCK]) for offset in range(0, len(data), BLOCK)]

        # A thread cannot be stopped. When the mount ends or the time is up it is left to itself; it keeps its place
        # in the limiter until its request has ended.
        with trio.move_on_after(self._fetch_seconds):
            return await trio.to_thread.run_sync(blocks, abandon_on_cancel=True, limiter=self._limiter)
        raise Unreachable(f"no answer within {self._fetch_seconds:.0f} s")


async def _all_done(fetches: list[_Fetch]) -> None:
    """Wait for the end of some fetches; raises what the first of them to have failed, in their order, failed with."""
    for fetch in fetches:
        fetch.waiting += 1
    try:
        for fetch in fetches:
            await fetch.done.wait()
            if fetch.error is not None:
                raise S3Error(fetch.error.message, hint=fetch.error.hint) from fetch.error
    finally:
        for fetch in fetches:
            fetch.waiting -= 1


def _cut(blocks: list[bytes], offset: int, size: int) -> bytes | memoryview:
    """``size`` bytes from ``offset`` in the first of some neighbouring blocks; a view where one block has them all."""
    if len(blocks) == 1:
        return memoryview(blocks[0])[offset : offset + size]
    parts: list[bytes | memoryview] = [memoryview(blocks[0])[offset:], *blocks[1:]]
    end = size - sum(len(part) for part in parts[:-1])
    parts[-1] = memoryview(parts[-1])[:end]
    return b"".join(parts)
