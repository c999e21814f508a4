"""Which inodes may hold unverified bytes of an object in the kernel's page cache. Pure.

The kernel keeps the bytes it was given under the number of an inode. A verdict covers only the bytes that were hashed
for it: pieces that were evicted earlier may have had other content, if a server does not always return the same.
"""

from __future__ import annotations


class UnverifiedReads:
    """Inodes that were given bytes of one object version before a verdict. False if there are none."""

    __slots__ = ("_doubtful", "_evicted", "_inodes")

    def __init__(self) -> None:
        self._inodes: set[int] = set()
        self._doubtful: set[int] = set()  # those of _inodes that no verdict will cover
        self._evicted = False  # a piece that was read has been evicted since the last verdict

    def __bool__(self) -> bool:
        return bool(self._inodes)

    def add(self, inode: int) -> None:
        """Record that unverified bytes are returned to an inode."""
        self._inodes.add(inode)

    def record_eviction(self, *, is_hashed: bool) -> None:
        """Record that a piece that was read is evicted; ``is_hashed`` if it is in the present hash."""
        self._evicted = True
        if not is_hashed:
            self._doubtful |= self._inodes

    def restart(self) -> None:
        """Record that a new hash starts, of pieces that may be fetched again."""
        if self._evicted:
            self._doubtful |= self._inodes

    def take_verified(self) -> set[int]:
        """After a match: remove and return the inodes that hold verified bytes only."""
        verified = self._inodes - self._doubtful
        self._inodes -= verified
        self._evicted = False
        return verified

    def clear(self) -> None:
        """After a mismatch: forget all inodes, because every open handle gets errors from now on."""
        self._inodes.clear()
        self._doubtful.clear()
        self._evicted = False
