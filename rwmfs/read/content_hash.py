"""Whether the content of an object is what its name says, found out while its parts come in. Pure but for the event.

restic names its files by the SHA-256 of their content (``rwm.restic.content``), so wrong bytes are always noticed.
The hash needs the parts in their order; a part that is gone before its turn leaves the question open. When all parts
come from where only proven ones are kept, as such, with a checksum of their own, there is nothing to hash.
"""

from __future__ import annotations

import hashlib

import trio

from rwm.restic import expected_sha256
from rwmfs.object_id import ObjectId


class ContentHash:
    """The proof of one object version. ``position`` is how many bytes from the start are in it; ``hashing`` says that
    some of it is not vouched for, so that all of it is hashed.

    ``running`` says that somebody is at it, ``moved`` is where one waits for him to have come further. ``settled``
    comes with the verdict, or without one when another proof has taken its place.
    """

    __slots__ = ("_hash", "expected", "hashing", "moved", "position", "running", "settled", "size", "verdict")

    def __init__(self, identity: ObjectId) -> None:
        self.expected = expected_sha256(identity.key)
        self.size = identity.size
        self.position = 0
        self.verdict: bool | None = None
        self.running = False
        self.moved = trio.lowlevel.ParkingLot()
        self.settled = trio.Event()
        self.hashing = False
        self._hash = hashlib.sha256()

    @property
    def possible(self) -> bool:
        """Whether the name tells what the content must be."""
        return self.expected is not None

    @property
    def open(self) -> bool:
        """Whether there is something left to prove."""
        return self.possible and not self.settled.is_set()

    @property
    def complete(self) -> bool:
        """Whether all bytes are in it."""
        return self.position == self.size

    def vouch(self, size: int) -> None:
        """The next bytes were proven before: so they stand as long as that can be said of all."""
        assert not self.hashing
        self.position += size

    def hash_all(self) -> None:
        """Not all is vouched for: begin at the start, and hash."""
        assert not self.hashing
        self.hashing, self.position = True, 0

    def add(self, data: memoryview) -> None:
        """The next bytes. Any thread may add them, one at a time."""
        self.hashing = True
        self._hash.update(data)
        self.position += len(data)

    def settle(self) -> None:
        """Say what came out, now that it is complete."""
        self.verdict = self.complete and (not self.hashing or self._hash.hexdigest() == self.expected)
        self.settled.set()

    def give_up(self) -> None:
        """There will be no verdict: whoever waits for one has to look again."""
        self.settled.set()
