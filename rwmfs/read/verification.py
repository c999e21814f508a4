"""Verifies content against the hash in the object's name before it is returned, as far as possible.

Objects whose name is a hash of their content are hashed piece by piece, in order:

- Of a *whole* object (``BufferedObject.whole``) no byte is returned before the verdict.
- Of another object that is read from start to end, a read waits until all bytes before it are hashed, so that no piece
  is evicted before it is in the hash; the last read waits for the verdict.
- Other reads cannot be verified.

After a mismatch the object's pieces are dropped from memory and disk. If bytes of it had been returned, every open
handle gets errors from then on: the kernel repeats a failed read in smaller parts, and would get unverified bytes.
The next open tells the kernel to drop its cached pages (``OpenObject.keep_cache``). So does the next open after any
unverified bytes, if no verdict has covered them by then.
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

HASH_THREADS = 2


class WrongContent(BadResponse):
    """The content does not match the hash in the object's name."""


class Verifier:
    """Runs the hashes of one mount.

    All methods run in the trio thread; only ``ContentHash.update`` runs in worker threads. The scheduler calls
    :meth:`verify` after each fetch; reads call :meth:`wait_verified`. ``nursery`` runs what they start.
    """

    def __init__(self, buffer: Buffer, fetcher: Fetcher, nursery: trio.Nursery) -> None:
        self._buffer = buffer
        self._fetcher = fetcher
        self._nursery = nursery
        self._hash_limiter = trio.CapacityLimiter(HASH_THREADS)
        self._unverified_inodes: set[int] = set()  # whose pages in the kernel may be unverified

    def may_keep_cache(self, inode: int) -> bool:
        """Whether the kernel may keep its cached pages of an inode that is opened. If not, it drops them now."""
        keep = inode not in self._unverified_inodes
        self._unverified_inodes.discard(inode)
        return keep

    def record_return(self, file: OpenObject) -> None:
        """Record that bytes are returned, unless they are verified or cannot be."""
        content_hash = file.object.content_hash
        if content_hash.is_possible and content_hash.verdict is None:
            file.object.unverified_reads.add(file.inode)
            self._unverified_inodes.add(file.inode)

    async def wait_verified(self, file: OpenObject, start: int, stop: int) -> bool:
        """Wait until the bytes from ``start`` to ``stop`` may be returned; raises WrongContent.

        False if they need a verdict and a piece for it has been evicted: the caller has to fetch again.
        """
        buffered, content_hash, size = file.object, file.object.content_hash, file.object.id.size
        while content_hash.running and content_hash.position < start:
            await content_hash.progressed.park()
        needs_verdict = content_hash.is_pending and (buffered.whole or stop == size)
        if needs_verdict and not any(buffered.missing(content_hash.position, size)):
            rest = list(buffered.covering(content_hash.position, size))
            with self._buffer.pinned(rest):
                for piece in rest:
                    await piece.done.wait()
                if all(piece.error is None for piece in rest):
                    # All pieces for the verdict are pinned, or the hash is abandoned: either way it gets settled.
                    self._nursery.start_soon(self.verify, buffered, content_hash)
                    await content_hash.settled.wait()
        if content_hash.verdict is False or file.is_tainted:
            raise WrongContent(f"the content of {buffered.id.key} is not what its name says")
        return not buffered.whole or not content_hash.is_possible or content_hash.verdict is True

    async def verify(self, buffered: BufferedObject, content_hash: ContentHash) -> None:
        """Hash all pieces that are next in order; does nothing while another task does so."""
        if content_hash.running:
            return
        content_hash.running = True
        try:
            while (
                content_hash.is_pending
                and not content_hash.is_complete
                and (piece := buffered.piece_at(content_hash.position)) is not None
            ):
                await self._add(buffered, content_hash, piece)
                content_hash.progressed.unpark_all()
        finally:
            content_hash.running = False
        if content_hash.is_pending and content_hash.is_complete:
            content_hash.settle()
            if content_hash.verdict is False:
                await self._discard(buffered)
            else:
                self._unverified_inodes -= buffered.unverified_reads.take_verified()
                for part in {part for part in buffered.pieces.values() if not part.stored}:
                    self._nursery.start_soon(partial(self._fetcher.store.save, part, verified=True))

    async def _add(self, buffered: BufferedObject, content_hash: ContentHash, piece: Piece) -> None:
        """Add a piece to the hash; at the first piece that was not verified before, go back to the start instead.

        Pieces are skipped only of a whole object: of others the start may be evicted by the time it has to be hashed.
        """
        assert piece.data is not None
        if buffered.whole and piece.verified and not content_hash.is_hashing:
            content_hash.skip(piece.stop - content_hash.position)
        elif not content_hash.is_hashing and content_hash.position:
            content_hash.restart_hashing()
        else:
            with self._buffer.pinned([piece]):
                data = piece.data[content_hash.position - piece.start :]
                await trio.to_thread.run_sync(content_hash.update, data, limiter=self._hash_limiter)

    async def _discard(self, buffered: BufferedObject) -> None:
        """Drop wrong content from memory and disk."""
        key, version_id, *_ = buffered.id
        log_once(buffered, f"wrong content: {key} (version {version_id}) is not what its name says it must be")
        buffered.reject()
        for piece in set(buffered.pieces.values()):
            if piece.done.is_set():
                self._buffer.drop(piece)
        await self._fetcher.store.drop(buffered.id)


def log_once(buffered: BufferedObject, message: str) -> None:
    """Log an error, unless it repeats the last one of the object."""
    if message != buffered.last_logged:
        buffered.last_logged = message
        log.error("%s", message)
