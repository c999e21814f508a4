"""Compares the content of an object with the hash in its name, piece by piece as the content arrives.

restic names its files by the SHA-256 of their content (``rwm.restic.content``), so any wrong byte is detected. The
hash takes the bytes in order; if a piece is evicted before its turn, there is no verdict. When all pieces come from
the disk cache, were verified before they were written there and match their checksums, nothing has to be hashed.
"""

from __future__ import annotations

import hashlib

import trio

from rwm.restic import expected_sha256
from rwmfs.object_id import ObjectId


class ContentHash:
    """The running hash of one object version. ``rwmfs.read.verification`` drives it.

    :meth:`update` runs in a worker thread, one call at a time; all else runs in the trio thread. ``running`` keeps a
    second task from driving the same hash.
    """

    __slots__ = ("_hash", "expected", "is_hashing", "position", "progressed", "running", "settled", "size", "verdict")

    def __init__(self, object_id: ObjectId) -> None:
        self.expected = expected_sha256(object_id.key)
        """SHA-256 in hexadecimal digits, None if the name is not a hash."""
        self.size = object_id.size
        """Bytes of the object."""
        self.position = 0
        """Bytes from the start of the object that are in the hash, or were skipped as verified before."""
        self.verdict: bool | None = None
        """Whether the content matches; None while that is unknown."""
        self.running = False
        """A task is adding pieces."""
        self.progressed = trio.lowlevel.ParkingLot()
        """Wakes the tasks that wait for ``position`` to move."""
        self.settled = trio.Event()
        """Set with the verdict, or without one when the hash was abandoned for a new one."""
        self.is_hashing = False
        """Some bytes were not verified before, so all are hashed."""
        self._hash = hashlib.sha256()

    @property
    def is_possible(self) -> bool:
        """Whether the name is a hash of the content."""
        return self.expected is not None

    @property
    def is_pending(self) -> bool:
        """Whether a verdict is still possible."""
        return self.is_possible and not self.settled.is_set()

    @property
    def is_complete(self) -> bool:
        """Whether the end of the object is reached."""
        return self.position == self.size

    def skip(self, size: int) -> None:
        """Pass over the next bytes, which were verified before; counts only if all bytes of the object were."""
        assert not self.is_hashing
        self.position += size

    def restart_hashing(self) -> None:
        """Go back to the start and hash everything, after some bytes that were not verified before."""
        assert not self.is_hashing
        self.is_hashing, self.position = True, 0

    def update(self, data: memoryview) -> None:
        """Hash the next bytes."""
        self.is_hashing = True
        self._hash.update(data)
        self.position += len(data)

    def settle(self) -> None:
        """Set the verdict; the hash should be complete."""
        self.verdict = self.is_complete and (not self.is_hashing or self._hash.hexdigest() == self.expected)
        self.settled.set()

    def abandon(self) -> None:
        """Wake all waiting tasks without a verdict; they have to look for the hash that replaces this one."""
        self.settled.set()
