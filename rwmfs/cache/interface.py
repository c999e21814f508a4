"""The contract of a block store.

An object version never changes, so a stored block never becomes stale. A store may lose any block at any time; it must
never return wrong bytes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from rwmfs.object_id import ObjectId

BLOCK = 64 * 1024
"""Bytes that are stored and evicted together. The last block of an object may be shorter."""


class StoredRange(NamedTuple):
    """Bytes of an object version, read from a store."""

    data: memoryview
    verified: bool
    """Whether the whole object had been verified when these bytes were written, see :meth:`BlockStore.write`."""


class BlockStore(Protocol):
    """Keeps blocks of object versions: :class:`rwmfs.cache.store.DiskCache`.

    ``rwmfs.read.async_store`` calls every method in worker threads, several at a time. No method raises: a failed read
    is a miss, a failed write does nothing. Any method may block for as long as the disk hangs.
    """

    def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
        """Return exactly the bytes from ``start`` to ``stop`` (exclusive), or None if any of them is missing."""

    def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
        """Store bytes if there is room.

        ``start`` is a multiple of BLOCK; ``data`` ends at a multiple of BLOCK or at the end of the object. ``verified``
        says that the content of the whole object matches the hash in its name.
        """

    def drop(self, object_id: ObjectId) -> None:
        """Remove all blocks of an object whose content turned out to be wrong."""
