"""Sees to it that nothing wrong is handed out, as far as names tell what is right.

Objects whose name is the hash of their content are hashed as their pieces come in, in order. Of an object that is
fetched whole nothing is handed out before that is done; of another one that is read from end to end the last bytes wait
for it, and those before them for the hashing of what precedes them: nothing leaves the memory before it is in the
proof. What turns out to be wrong is thrown away, in memory and on disk.

If something of it was handed out before, every handle that is open then gets nothing but errors: the kernel asks again,
in small parts, for what failed, and would get bytes that nothing proves. And whoever opens the file next tells the
kernel not to keep what it has of it (``OpenObject.keep``); so it is with all bytes that were handed out unproven, also
when no verdict ever came.
"""

from __future__ import annotations

import logging
from functools import partial

import trio

from rwm.errors import BadResponse
from rwmfs.read.buffer import Buffer
from rwmfs.read.content_hash import ContentHash
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import OpenObject
from rwmfs.read.pieces import BufferedObject, Piece

log = logging.getLogger(__name__)

HASHING = 2
"""Threads that hash at a time."""


class WrongContent(BadResponse):
    """The bytes are not those that the object's name is the hash of."""


class Verification:
    """The proofs of one mount. ``nursery`` holds those under way."""

    def __init__(self, buffer: Buffer, fetcher: Fetcher, nursery: trio.Nursery) -> None:
        self._buffer = buffer
        self._fetcher = fetcher
        self._nursery = nursery
        self._hashing = trio.CapacityLimiter(HASHING)
        self._unproven: set[int] = set()  # places where the kernel may keep bytes that nothing has proven

    def may_keep(self, place: int) -> bool:
        """Whether the kernel may keep what it has there, now that the file is opened again. If not, it lets go."""
        keep = place not in self._unproven
        self._unproven.discard(place)
        return keep

    def expose(self, file: OpenObject) -> None:
        """Take down where bytes go that are handed out without a proof."""
        proof = file.held.proof
        if proof.possible and proof.verdict is None:
            file.held.exposure.add(file.place)
            self._unproven.add(file.place)

    async def proven(self, file: OpenObject, start: int, stop: int) -> bool:
        """Wait for the proof where a read of the bytes ``start`` to ``stop`` depends on it; raises WrongContent.

        False when nothing may be handed out without it, and something that it needs is gone.
        """
        held, proof, size = file.held, file.held.proof, file.held.id.size
        while proof.running and proof.position < start:
            await proof.moved.park()
        if proof.open and (held.whole or stop == size) and not any(held.missing(proof.position, size)):
            rest = list(held.covering(proof.position, size))
            with self._buffer.using(rest):
                for piece in rest:
                    await piece.done.wait()
                if all(piece.error is None for piece in rest):
                    # All that it needs is here and stays, or else it is given up: in any case it will be settled.
                    self._nursery.start_soon(self.prove, held, proof)
                    await proof.settled.wait()
        if proof.verdict is False or file.spoiled:
            raise WrongContent(f"the content of {held.id.key} is not what its name says")
        return not held.whole or not proof.possible or proof.verdict is True

    async def prove(self, held: BufferedObject, proof: ContentHash) -> None:
        """Take the proof as far as it goes now, unless somebody is at it."""
        if proof.running:
            return
        proof.running = True
        try:
            while proof.open and not proof.complete and (piece := held.at(proof.position)) is not None:
                await self._go_on(held, proof, piece)
                proof.moved.unpark_all()
        finally:
            proof.running = False
        if proof.open and proof.complete:
            proof.settle()
            if proof.verdict is False:
                await self._throw_away(held)
            else:
                self._unproven -= held.exposure.proven()
                for part in {part for part in held.pieces.values() if not part.kept}:
                    self._nursery.start_soon(partial(self._fetcher.keeper.keep, part, proven=True))

    async def _go_on(self, held: BufferedObject, proof: ContentHash, piece: Piece) -> None:
        """Take a piece into the proof; if it is the first one that nobody vouches for, go back to the start.

        Only of an object that is whole is the start still there then.
        """
        assert piece.data is not None
        if held.whole and piece.proven and not proof.hashing:
            proof.vouch(piece.stop - proof.position)
        elif not proof.hashing and proof.position:
            proof.hash_all()
        else:
            with self._buffer.using([piece]):
                data = piece.data[proof.position - piece.start :]
                await trio.to_thread.run_sync(proof.add, data, limiter=self._hashing)

    async def _throw_away(self, held: BufferedObject) -> None:
        """Let go of wrong content, wherever it is."""
        key, version_id, *_ = held.id
        tell(held, f"wrong content: {key} (version {version_id}) is not what its name says it must be")
        held.reject()
        for piece in set(held.pieces.values()):
            if piece.done.is_set():
                self._buffer.drop(piece)
        await self._fetcher.keeper.disown(held.id)


def tell(held: BufferedObject, message: str) -> None:
    """Log an error, unless it was the last one of the object while it is open."""
    if message != held.told:
        held.told = message
        log.error("%s", message)
