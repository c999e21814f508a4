"""Reads objects by version id through memory: few and large requests, each byte fetched once, never a wrong one.

**What runs where.** Everything here runs in the trio thread; ``fetcher`` has what runs elsewhere. Between two awaits
nothing else runs: finding out what is missing and putting it on its way is one step (``_collect``), so a byte is never
fetched twice at a time.

**Who waits for what.** A fetch is a task of the nursery that the reader was given, not of the read that caused it: a
read that is cancelled leaves its fetches to the others who wait for them. When the last handle of an object is closed,
fetches that nobody waits for are given up.

**Proof.** Objects whose name is the hash of their content are hashed as their pieces come in, in order. Of an object
that is fetched whole nothing is handed out before that is done; of another one that is read from end to end the last
bytes wait for it. What turns out to be wrong is thrown away, in memory and on disk. A read takes the verdict on the
pieces that it collected itself: those that come in their place have a proof of their own.

**Failure.** A fetch that fails fails the reads that wait for it at that moment, and is forgotten: the next read tries
again. It is logged once, where it happens. A failed fetch ahead of a reader fails nobody.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from rwm.errors import BadResponse, RwmError, S3Error, Unreachable
from rwm.model import Entry, StateInfo, UploadOrder
from rwmfs.buffer import Buffer
from rwmfs.cachefile import GRAIN
from rwmfs.counters import Counters
from rwmfs.fetcher import CONNECTIONS, Fetcher
from rwmfs.foresight import Foresight
from rwmfs.habit import Habit
from rwmfs.objectid import ObjectId
from rwmfs.pieces import WINDOW, Held, Piece, cut
from rwmfs.proof import Proof
from rwmfs.readahead import Readahead

log = logging.getLogger(__name__)

SMALL = WINDOW
"""Bytes up to which an object is fetched whole, however it is read."""

WHOLE = 64 * 1024 * 1024
"""Bytes up to which an object is fetched whole when it will be read whole, as far as one can tell. restic's packs are
16 MiB as a rule."""

SCATTERED = 8
"""Requests for reads that follow no other, in one object, after which the whole of it is fetched."""

AHEAD = 16 * 1024 * 1024
"""Bytes to read ahead of one reader at most."""

HASHING = 2
"""Threads that hash at a time."""


class WrongContent(BadResponse):
    """The bytes are not those that the object's name is the hash of."""


class OpenObject:
    """An object as one reader sees it: the run of reads that it makes, and how much it got."""

    __slots__ = ("held", "read", "readahead")

    def __init__(self, held: Held, readahead: Readahead) -> None:
        self.held = held
        self.readahead = readahead
        self.read = 0


class Reader:
    """Reads objects of one bucket.

    ``nursery`` holds the fetches and must outlive all reads; ``memory`` is bytes. ``order`` finds the order in which a
    state's packs were uploaded, and is asked in a thread; without it no packs are fetched before they are opened.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        counters: Counters,
        memory: int,
        nursery: trio.Nursery,
        connections: int = CONNECTIONS,
        order: Callable[[StateInfo], UploadOrder] | None = None,
    ) -> None:
        self.counters = counters
        self._fetcher = fetcher
        self._buffer = Buffer(memory, counters)
        self._nursery = nursery
        self._connections = connections
        self._ahead = min(AHEAD, memory // 4 // GRAIN * GRAIN)
        self._whole = min(WHOLE, memory // 4)
        self._habit = Habit()
        self._foresight = order and Foresight(nursery, order, self.expect, self.not_expected)
        self._hashing = trio.CapacityLimiter(HASHING)
        self._expected: deque[Held] = deque()
        self._running = 0

    @property
    def memory(self) -> int:
        """Bytes of content that are here or on their way."""
        return self._buffer.size

    @property
    def unread(self) -> int:
        """Bytes that are here and that nobody has read so far."""
        return self._buffer.unread()

    @property
    def running(self) -> int:
        """Fetches under way."""
        return self._running

    def open(self, entry: Entry, state: StateInfo | None = None) -> OpenObject:
        """A reader of its own on a file, of a state if it is known. Fetches nothing of it."""
        held = self._buffer.held(ObjectId(entry.key, entry.version_id, entry.size, entry.etag))
        held.readers += 1
        if entry.size <= min(SMALL, self._whole):
            held.make_whole()
        if self._foresight and state:
            self._foresight.opened(entry, state)
        return OpenObject(held, Readahead(self._ahead))

    def close(self, file: OpenObject) -> None:
        """The reader is gone, and with the last one what was on its way for nobody."""
        held = file.held
        held.readers -= 1
        if held.id.size > SMALL and file.read:
            self._habit.closed(held.id.size, file.read)
        if not held.readers:
            self._give_up(held)

    def expect(self, identity: ObjectId) -> bool:
        """Somebody will soon read the whole object: fetch it when nothing that is needed now has to wait for it.

        False when it is not worth it: there is no room, or something of it is here.
        """
        held = self._buffer.held(identity)
        if held.pieces or held.readers or identity.size > self._whole:
            self._buffer.settle(held)
            return False
        held.make_whole()
        self._expected.append(held)
        self._pump()
        return True

    def not_expected(self, identity: ObjectId) -> None:
        """Nobody will read it after all. Does nothing when somebody does."""
        held = self._buffer.held(identity)
        if not held.readers:
            self._give_up(held)
            for piece in set(held.pieces.values()):
                self._buffer.drop(piece)
        self._buffer.settle(held)

    async def read(self, file: OpenObject, offset: int, size: int) -> bytes | memoryview:
        """The bytes from ``offset`` on: ``size`` of them, fewer only where the object ends; never a short read.

        Raises S3Error when the bytes cannot be had, WrongContent when they cannot be right.
        """
        start, stop = offset, min(offset + size, file.held.id.size)
        if start >= stop:
            return b""
        until = self._plan(file, start, stop)
        try:
            data = await self._right(file.held, start, stop, until)
        except RwmError:
            self.counters.failed += 1
            raise
        file.read += len(data)
        if self._foresight:
            self._foresight.read(len(data))
        self.counters.served += len(data)
        return data

    def _plan(self, file: OpenObject, start: int, stop: int) -> int:
        """Decide whether the object is fetched whole from now on; the end of what is to be fetched for this read."""
        held, follows = file.held, file.readahead.follows(start)
        until = file.readahead.wanted(start, stop)
        if held.whole or held.id.size > self._whole:
            return until
        held.scattered += not follows and any(held.missing(start, stop))
        likely = held.scattered >= SCATTERED or (start == 0 and not file.read and self._habit.reads_whole)
        if likely and self._buffer.has_room(held.id.size):
            held.make_whole()
        return until

    async def _right(self, held: Held, start: int, stop: int, until: int) -> bytes | memoryview:
        """The bytes; those of an object of which nothing was handed out so far are fetched anew once if wrong."""
        try:
            return await self._bytes(held, start, stop, until)
        except WrongContent:
            if not held.whole:
                raise
        return await self._bytes(held, start, stop, until)  # what failed may have been the network

    async def _bytes(self, held: Held, start: int, stop: int, until: int) -> bytes | memoryview:
        while True:
            proof = held.proof  # of what is collected now: if that is thrown away, there is a new one for what comes
            needed, started = self._collect(held, start, stop, until)
            with _waiting_for(needed):
                await _all_done(needed)
                if not await self._proven(held, proof, stop):
                    continue
                self.counters.missed += sum(piece.overlap(start, stop) for piece in started if not piece.on_disk)
                wanted = [piece for piece in needed if piece.overlap(start, stop)]
                for piece in wanted:
                    self._buffer.touch(piece)
                return cut(wanted, start, stop)

    def _collect(self, held: Held, start: int, stop: int, until: int) -> tuple[list[Piece], list[Piece]]:
        """The pieces that a read has to wait for, in order, and those of them that were put on their way for it.

        What is ahead of it is put on its way too.
        """
        if held.whole:
            start, stop = 0, held.id.size
        started = [self._start(held, *part) for part in held.missing(start, stop)]
        for part in held.missing(stop, until):
            if not self._has_time_for(part):
                break
            self._start(held, *part)
        return list(held.covering(start, stop)), started

    def _has_time_for(self, part: tuple[int, int]) -> bool:
        """Whether something that nobody waits for may be fetched: one connection stays free for what somebody needs."""
        return self._running < self._connections - 1 and self._buffer.has_room(part[1] - part[0])

    def _pump(self) -> None:
        """Put on its way what is expected, as far as it goes."""
        while self._expected:
            held = self._expected[0]
            part = next(held.missing(0, held.id.size), None)
            if part is None or self._buffer.held(held.id) is not held:
                self._expected.popleft()
            elif self._has_time_for(part):
                self._start(held, *part)
            else:
                return

    def _start(self, held: Held, start: int, stop: int) -> Piece:
        piece = self._buffer.add(held, start, stop)
        self._running += 1
        self._nursery.start_soon(self._run, piece)
        return piece

    async def _run(self, piece: Piece) -> None:
        """Fetch, hand over, prove, keep on disk; clear the record, whatever happens."""
        piece.error = Unreachable("the mount ends")
        try:
            await self._fetcher.fetch(piece)
            piece.error = None
        except RwmError as error:
            piece.error = error
            self._log_failure(piece, error)
        except Exception as error:
            piece.error = S3Error(f"unexpected {type(error).__name__}: {error}")
            log.exception("cannot read %s (version %s)", piece.held.id.key, piece.held.id.version_id)
        finally:
            self._running -= 1
            piece.done.set()
            if piece.error is not None:
                self._buffer.drop(piece)
        self._pump()
        self._buffer.shrink()
        if piece.error is None:
            await self._prove(piece.held, piece.held.proof)
            await self._fetcher.keep(piece)

    def _log_failure(self, piece: Piece, error: RwmError) -> None:
        if piece.cancelled:
            return
        level = logging.ERROR if piece.waiting else logging.DEBUG
        log.log(level, "cannot read %s (version %s): %s", piece.held.id.key, piece.held.id.version_id, error.message)

    def _give_up(self, held: Held) -> None:
        """Stop what is on its way and nobody waits for."""
        for piece in set(held.pieces.values()):
            if not piece.done.is_set() and not piece.waiting:
                piece.cancelled = True
                self._buffer.drop(piece)
        self._buffer.settle(held)

    async def _proven(self, held: Held, proof: Proof, stop: int) -> bool:
        """Wait for the proof where a read that ends at ``stop`` depends on it; raises WrongContent.

        False when another proof has taken its place, so that the read has to begin anew.
        """
        if proof.open and held.whole:
            await self._verdict(held, proof)
        elif proof.open and stop == held.id.size and not any(held.missing(proof.position, stop)):
            rest = list(held.covering(proof.position, stop))
            with _waiting_for(rest):
                await _all_done(rest)
                await self._verdict(held, proof)
        if proof.verdict is False:
            raise WrongContent(f"the content of {held.id.key} is not what its name says")
        return not (proof.open and held.whole)

    async def _verdict(self, held: Held, proof: Proof) -> None:
        """All pieces that the proof needs are here, and stay, or it is not the object's proof any more."""
        self._nursery.start_soon(self._prove, held, proof)
        await proof.settled.wait()

    async def _prove(self, held: Held, proof: Proof) -> None:
        """Take the proof as far as it goes now, unless somebody is at it."""
        if proof.running:
            return
        proof.running = True
        try:
            while proof.open and held.proof is proof and (data := held.at(proof.position)) is not None:
                await trio.to_thread.run_sync(proof.add, data, limiter=self._hashing)
        finally:
            proof.running = False
        if proof.open or proof.settled.is_set():
            return
        proof.settled.set()
        if proof.verdict is False:
            await self._throw_away(held)

    async def _throw_away(self, held: Held) -> None:
        """Let go of wrong content, wherever it is."""
        log.error(
            "wrong content: %s (version %s) is not what its name says it must be", held.id.key, held.id.version_id
        )
        for piece in set(held.pieces.values()):
            if piece.done.is_set():
                self._buffer.drop(piece)
        await self._fetcher.disown(held.id)


@contextmanager
def _waiting_for(pieces: list[Piece]) -> Iterator[None]:
    """What somebody waits for stays in memory."""
    for piece in pieces:
        piece.waiting += 1
    try:
        yield
    finally:
        for piece in pieces:
            piece.waiting -= 1


async def _all_done(pieces: list[Piece]) -> None:
    """Wait for the end of some fetches; raises what the first of them to have failed, in order, failed with."""
    for piece in pieces:
        await piece.done.wait()
        if piece.error is not None:
            raise S3Error(piece.error.message, hint=piece.error.hint) from piece.error
