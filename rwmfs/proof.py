"""Whether the content of an object is what its name says, found out while its parts come in. Pure but for the event.

restic names its files by the SHA-256 of their content (``rwm.content``), so wrong bytes show, whoever made them wrong.
The hash needs the parts in their order; a part that is gone before its turn leaves the question open.
"""

from __future__ import annotations

import hashlib

import trio

from rwm.content import expected_sha256
from rwmfs.objectid import ObjectId


class Proof:
    """The proof of one object version. ``position`` is how many bytes from the start are in it.

    ``running`` says that somebody is at it, ``moved`` is where one waits for him to have come further. ``settled``
    comes with the verdict, or without one when another proof has taken its place.
    """

    __slots__ = ("_hash", "expected", "moved", "position", "running", "settled", "size", "verdict")

    def __init__(self, identity: ObjectId) -> None:
        self.expected = expected_sha256(identity.key)
        self.size = identity.size
        self.position = 0
        self.verdict: bool | None = None
        self.running = False
        self.moved = trio.lowlevel.ParkingLot()
        self.settled = trio.Event()
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

    def add(self, data: memoryview) -> None:
        """The next bytes. Any thread may add them, one at a time."""
        self._hash.update(data)
        self.position += len(data)

    def settle(self) -> None:
        """Say what came out, now that it is complete."""
        self.verdict = self._hash.hexdigest() == self.expected
        self.settled.set()

    def give_up(self) -> None:
        """There will be no verdict: whoever waits for one has to look again."""
        self.settled.set()
