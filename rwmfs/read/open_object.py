"""An open handle of an object. Pure."""

from __future__ import annotations

from typing import NamedTuple

from rwmfs.prefetch import ReadAhead
from rwmfs.read.pieces import BufferedObject


class Failure(NamedTuple):
    """A read that took long to fail."""

    start: int
    """First byte of the read."""

    stop: int
    """End of the read, exclusive."""

    until: float
    """``trio.current_time()`` before which a repeated read fails at once."""

    message: str
    """The error message."""


class OpenObject:
    """An object as one reader sees it. ``Reader`` makes, uses and changes it in the trio thread."""

    __slots__ = ("_mismatches", "bytes_read", "failure", "inode", "keep_cache", "object", "read_ahead")

    def __init__(self, buffered: BufferedObject, read_ahead: ReadAhead, inode: int, keep_cache: bool) -> None:
        self.object = buffered
        """The object in memory, shared with all its readers."""
        self.read_ahead = read_ahead
        """The run of sequential reads of this handle."""
        self.inode = inode
        """The inode under which the kernel caches what is read."""
        self.keep_cache = keep_cache
        """Whether the kernel may keep what it has cached under this inode (FOPEN_KEEP_CACHE)."""
        self.bytes_read = 0
        """Bytes that were returned to this reader."""
        self.failure: Failure | None = None
        """The last read that took long to fail."""
        self._mismatches = buffered.exposed_mismatches

    @property
    def is_tainted(self) -> bool:
        """Whether the object had a mismatch since this handle was opened, after some reader had got bytes of it."""
        return self._mismatches != self.object.exposed_mismatches
