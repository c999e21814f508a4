"""Reads objects by version id through memory: few and large requests, each byte fetched once, never a wrong one.

**What runs where.** Everything here runs in the trio thread; ``fetcher`` and ``keeper`` have what runs elsewhere.
Between two awaits nothing else runs: finding out what is missing and putting it on its way is one step (``_collect``),
so a byte is never fetched twice at a time.

**Who waits for what.** A fetch is a task of the nursery that the reader was given, not of the read that caused it: a
read that is cancelled leaves its fetches to the others who wait for them. When the last handle of an object is closed,
fetches that nobody waits for are given up.

**Verification.** What the name of an object says of its content is verified before it is handed out, as far as
possible: see ``rwmfs.read.verification``.

**Failure.** A fetch that fails fails the reads that wait for it at that moment, and is forgotten: the next read tries
again. But the kernel asks a second time for the first page of what failed, and nobody should wait twice: what took long
to fail fails again at once for a moment. It is logged where it happens, once for all parts of the object. A failed
fetch ahead of a reader fails nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from rwm.errors import RwmError, S3Error, Unreachable
from rwm.model import Entry, StateInfo, UploadOrder
from rwmfs.cache import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.prefetch import AccessPattern, Prefetcher, Readahead
from rwmfs.read.buffer import Buffer
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import Failure, OpenObject
from rwmfs.read.pieces import BufferedObject, Piece, all_done, cut
from rwmfs.read.verification import Verification, WrongContent, tell

log = logging.getLogger(__name__)

SMALL = 4 * 1024 * 1024
"""Bytes up to which an object is fetched whole, however it is read."""

WHOLE = 64 * 1024 * 1024
"""Bytes up to which an object is fetched whole when it will be read whole, as far as one can tell. restic's packs are
16 MiB as a rule."""

SCATTERED = 8
"""Requests for reads that follow no other, in one object, after which the whole of it is fetched."""

AHEAD = 16 * 1024 * 1024
"""Bytes to read ahead of one reader at most."""

ECHO = 1.0
"""Seconds for which a read that took longer than that to fail is not tried again by who made it."""


class Reader:
    """Reads objects of one bucket.

    ``nursery`` holds the fetches and must outlive all reads; ``memory`` is bytes, of which ``idle`` are in other use.
    ``order`` finds the order in which a state's packs were uploaded, and is asked in a thread; without it no packs are
    fetched before they are opened.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        memory: int,
        nursery: trio.Nursery,
        order: Callable[[StateInfo], UploadOrder] | None = None,
        *,
        idle: int = 0,
    ) -> None:
        self.counters = fetcher.counters
        self._fetcher = fetcher
        self._buffer = Buffer(memory - idle, fetcher.counters)
        self._nursery = nursery
        self._ahead = min(AHEAD, memory // 4 // BLOCK * BLOCK)
        self._whole = min(WHOLE, memory // 4)
        self._habit = AccessPattern()
        self._foresight = order and Prefetcher(nursery, order, self, fetcher.pace.from_disk)
        self._proving = Verification(self._buffer, fetcher, nursery)
        self._expected: dict[ObjectId, int] = {}  # and up to where it was put on its way
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

    def open(self, entry: Entry, state: StateInfo | None = None, place: int = 0) -> OpenObject:
        """A reader of its own on a file, of a state if it is known. Fetches nothing of it.

        ``place`` tells apart where the kernel keeps what is read: the number of an inode.
        """
        held = self._buffer.hold_lock(ObjectId(entry.key, entry.version_id, entry.size, entry.etag))
        self._buffer.opened(held)
        if self._expected.pop(held.id, None) is not None or entry.size <= min(SMALL, self._whole):
            held.make_whole()
        if self._foresight and state:
            self._foresight.opened(entry, state)
        return OpenObject(held, Readahead(self._ahead), place, keep=self._proving.may_keep(place))

    def close(self, file: OpenObject) -> None:
        """The reader is gone, and with the last one what was on its way for nobody."""
        held = file.held
        if held.id.size > SMALL and file.read:
            self._habit.closed(held.id.size, file.read)
        self._buffer.closed(held)
        if not held.readers:
            self._give_up(held)

    def expect(self, identity: ObjectId) -> bool:
        """Somebody will soon read the whole object: fetch it when nothing that is needed now has to wait for it.

        False when it is not worth it: there is no room, or something of it is here.
        """
        if identity.size > self._whole or self._buffer.find(identity) is not None:
            return False
        self._expected[identity] = 0
        self._pump()
        return True

    def not_expected(self, identity: ObjectId) -> None:
        """Nobody will read it after all. Does nothing when somebody does."""
        held = self._buffer.hold_lock(identity)
        self._expected.pop(identity, None)
        if not held.readers:
            self._give_up(held)
            for piece in set(held.pieces.values()):
                if not piece.waiting:
                    self._buffer.drop(piece)
        self._buffer.settle(held)

    def is_here(self, identity: ObjectId) -> bool:
        """Whether all of an object is in memory."""
        held = self._buffer.find(identity)
        if held is None or any(held.missing(0, identity.size)):
            return False
        return all(piece.done.is_set() for piece in held.pieces.values())

    async def read(self, file: OpenObject, offset: int, size: int) -> bytes | memoryview:
        """The bytes from ``offset`` on: ``size`` of them, fewer only where the object ends; never a short read.

        Raises S3Error when the bytes cannot be had, WrongContent when they cannot be right.
        """
        start, stop = offset, min(offset + size, file.held.id.size)
        if start >= stop:
            return b""
        begun, failure = trio.current_time(), file.failure
        if failure is not None and failure.start <= start < failure.stop and begun < failure.until:
            raise S3Error(failure.message)
        until = self._plan(file, start, stop)
        try:
            data = await self._right(file, start, stop, until)
        except S3Error as error:
            self.counters.failed += 1
            ended = trio.current_time()
            if ended - begun > ECHO:
                file.failure = Failure(start, stop, ended + ECHO, error.message)
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

    async def _right(self, file: OpenObject, start: int, stop: int, until: int) -> bytes | memoryview:
        """Ask once more for content that is wrong, unless something of it was handed out: it may be the network."""
        try:
            return await self._bytes(file, start, stop, until)
        except WrongContent:
            if file.spoiled:
                raise
            return await self._bytes(file, start, stop, until)

    async def _bytes(self, file: OpenObject, start: int, stop: int, until: int) -> bytes | memoryview:
        """The bytes of pieces that are there at the same time; collected anew when one of them is thrown away."""
        held = file.held
        asked_for: set[Piece] = set()
        while not file.spoiled:
            needed, started = self._collect(held, start, stop, until)
            asked_for.update(started)
            with self._buffer.using(needed):
                self._buffer.shrink()  # what leaves is the room for what comes
                await all_done(needed)
                proven = await self._proving.proven(file, needed[0].start, stop)
                if not proven or any(piece not in self._buffer for piece in needed):
                    continue
                self._proving.expose(file)
                wanted = [piece for piece in needed if piece.overlap(start, stop)]
                missed = (piece for piece in wanted if piece in asked_for and not piece.on_disk)
                self.counters.missed += sum(piece.overlap(start, stop) for piece in missed)
                return cut(wanted, start, stop)
        raise WrongContent(f"what was read of {held.id.key} so far is not what its name says")

    def _collect(self, held: BufferedObject, start: int, stop: int, until: int) -> tuple[list[Piece], list[Piece]]:
        """The pieces that a read has to wait for, in order, and those of them that were put on their way for it.

        What is ahead of it is put on its way too.
        """
        window = self._window()
        if held.whole:
            start, stop = 0, held.id.size
        together = max(min(until, start + window), stop)
        if not (self._is_busy() and self._buffer.has_room(together - start) and any(held.missing(start, stop))):
            together = stop
        # Where what is ahead would find no connection of its own it comes in the same request.
        parts = held.missing(start, together, window)
        started = [self._start(held, *part, ahead=part[1] > stop) for part in parts]
        for part in held.missing(stop, until, window):
            if not self._has_time_for(part):
                break
            self._start(held, *part, ahead=True)
        return list(held.covering(start, stop)), started

    def _window(self) -> int:
        """Bytes of one request at most."""
        return self._fetcher.pace.window(self._running, self._fetcher.connections)

    def _has_time_for(self, part: tuple[int, int]) -> bool:
        """Whether something that nobody waits for may be fetched."""
        return not self._is_busy() and self._buffer.has_room(part[1] - part[0])

    def _is_busy(self) -> bool:
        """Whether all connections are in use, but for the one that stays free for what somebody needs."""
        return self._running >= self._fetcher.connections - 1

    def _pump(self) -> None:
        """Put on its way what is expected, as far as it goes."""
        while self._expected and not self._is_busy():
            identity, begun = next(iter(self._expected.items()))
            held = self._buffer.hold_lock(identity)
            held.make_whole()
            part = next(held.missing(begun, identity.size, self._window()), None)
            if part is None:
                del self._expected[identity]
                self._buffer.settle(held)
            elif self._buffer.has_room(part[1] - part[0]):
                self._expected[identity] = part[1]
                self._start(held, *part)
                self._buffer.shrink()
            else:
                self._buffer.settle(held)
                return

    def _start(self, held: BufferedObject, start: int, stop: int, *, ahead: bool = False) -> Piece:
        piece = self._buffer.add(held, start, stop)
        piece.ahead = ahead
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
            # Not the error itself: its traceback refers to this piece, and to the memory for the answer.
            piece.error = type(error)(error.message, hint=error.hint)
            self._log_failure(piece, error)
        except Exception as error:
            piece.error = S3Error(f"unexpected {type(error).__name__}: {error}")
            log.exception("cannot read %s (version %s)", piece.held.id.key, piece.held.id.version_id)
        finally:
            self._running -= 1
            piece.done.set()
            self._buffer.release(piece)
            if piece.error is not None:
                self._expected.pop(piece.held.id, None)
                self._buffer.drop(piece)
        self._pump()
        self._buffer.shrink()
        if piece.error is None:
            held, proof = piece.held, piece.held.proof
            await self._proving.prove(held, proof)
            if not (held.whole and proof.possible):  # or else it is kept once it is proven
                await self._fetcher.keeper.keep(piece, proven=False)

    def _log_failure(self, piece: Piece, error: RwmError) -> None:
        if piece not in self._buffer:  # it was given up
            return
        key, version_id, *_ = piece.held.id
        if piece.waiting:
            tell(piece.held, f"cannot read {key} (version {version_id}): {error.message}")
        else:
            log.debug("cannot read %s (version %s): %s", key, version_id, error.message)

    def _give_up(self, held: BufferedObject) -> None:
        """Stop what is on its way and nobody waits for."""
        for piece in set(held.pieces.values()):
            if not piece.done.is_set() and not piece.waiting:
                piece.cancelled = True
                self._buffer.drop(piece)
        self._buffer.settle(held)
