"""How many bytes may be prefetched, by what was read and by what earlier prefetches were good for. Pure.

Prefetched packs that are not opened yet, and those that were never opened, take together at most an eighth of the bytes
that readers have read so far. So a short restore prefetches little, and waste stays small. While all reads hit the disk
cache it is half, because those cost no requests. What is not opened yet also has to fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable

DIVISOR = 8
"""Bytes read so far are divided by this to get the budget."""

DISK_DIVISOR = 2
"""The same while all reads hit the disk cache."""


class PrefetchBudget:
    """The budget of one mount, in bytes.

    ``memory`` limits what is not opened yet; ``reads_from_disk`` says whether recent reads all hit the disk cache.
    """

    def __init__(self, memory: int, reads_from_disk: Callable[[], bool]) -> None:
        self._memory = memory
        self._reads_from_disk = reads_from_disk
        self._read = 0
        self._unopened = 0
        self._wasted = 0

    @property
    def left(self) -> int:
        """Bytes that may be prefetched now; not positive when the budget is used up."""
        divisor = DISK_DIVISOR if self._reads_from_disk() else DIVISOR
        return min(self._read // divisor - self._wasted, self._memory) - self._unopened

    def record_read(self, size: int) -> None:
        """Record bytes that were returned to a reader."""
        self._read += size

    def record_prefetch(self, size: int) -> None:
        """Record that a pack is prefetched."""
        self._unopened += size

    def record_open(self, size: int) -> None:
        """Record that a prefetched pack was opened."""
        self._unopened -= size

    def record_cancel(self, size: int) -> None:
        """Record that a prefetch was cancelled before the pack was opened."""
        self._unopened -= size
        self._wasted += size
