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

    ``running`` says that somebody is at it. ``settled`` comes with the verdict, or without one when another proof takes
    its place.
    """

    __slots__ = ("_hash", "expected", "position", "running", "settled", "size", "verdict")

    def __init__(self, identity: ObjectId) -> None:
        self.expected = expected_sha256(identity.key)
        self.size = identity.size
        self.position = 0
        self.verdict: bool | None = None
        self.running = False
        self.settled = trio.Event()
        self._hash = hashlib.sha256()

    @property
    def possible(self) -> bool:
        """Whether the name tells what the content must be."""
        return self.expected is not None

    @property
    def open(self) -> bool:
        """Whether there is something left to prove."""
        return self.possible and self.verdict is None

    def add(self, data: memoryview) -> None:
        """The next bytes. With the last of them there is a verdict."""
        self._hash.update(data)
        self.position += len(data)
        if self.position == self.size:
            self.verdict = self._hash.hexdigest() == self.expected
