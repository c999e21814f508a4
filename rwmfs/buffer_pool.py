"""Buffers for responses: reused, bounded while idle, in large pages where possible."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import weakref
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_M_ARENA_MAX = -8  # malloc.h of the GNU C library

LARGE = 2 * 1024 * 1024
"""Size in bytes of a large page on most computers; smaller buffers never get one."""


def use_one_arena() -> None:
    """Let all threads allocate from one arena, where the C library has several.

    Buffers are allocated in one thread and freed in another. With an arena for each thread, free memory in one is of no
    use to the others: that took half as much memory again as the buffers do.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def idle_limit(memory: int) -> int:
    """Bytes of a mount's memory for idle buffers: an eighth, or none if that is less than a large page."""
    return memory // 8 if memory // 8 >= LARGE else 0


class BufferPool:
    """Reuses large buffers; at most ``idle`` bytes of them are idle. Any thread may allocate.

    The kernel clears every page before a process gets it. For 16 MiB that takes five times as long in pages of 4096
    bytes as in large ones. By default it uses large pages only for memory with MADV_HUGEPAGE. A virtual machine may
    have to get the page from its host first.
    """

    def __init__(self, idle: int) -> None:
        self.idle = idle
        """Bytes of idle buffers at most."""
        # Idle areas, the longest idle first. There is no lock, because each step is a single operation of the
        # deque: a finalizer may return an area at any moment, in any thread, even in the middle of a method here.
        self._areas: deque[mmap.mmap] = deque()

    def allocate(self, size: int) -> WriteableBuffer:
        """A buffer of ``size`` bytes with arbitrary content. It returns to the pool when nothing refers to it."""
        if size < LARGE:
            return bytearray(size)
        area = self._take(size) or _new(size)
        owner = (ctypes.c_char * len(area)).from_buffer(area)  # every view of the memory refers to it
        weakref.finalize(owner, self._give_back, area).atexit = False
        return memoryview(owner).cast("B")[:size]

    def _take(self, size: int) -> mmap.mmap | None:
        """An idle area of that size or up to a quarter larger; the excess pages are returned to the kernel."""
        for area in sorted(self._areas.copy(), key=len):
            if size <= len(area) <= size + size // 4:
                try:
                    self._areas.remove(area)
                except ValueError:  # another thread has taken it
                    continue
                needed = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
                if needed < len(area):
                    area.madvise(mmap.MADV_DONTNEED, needed, len(area) - needed)
                return area
        return None

    def _give_back(self, area: mmap.mmap) -> None:
        self._areas.append(area)
        while sum(map(len, self._areas.copy())) > self.idle:
            with contextlib.suppress(IndexError):  # another thread has taken the last one
                self._areas.popleft()


def _new(size: int) -> mmap.mmap:
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without large pages
        area.madvise(mmap.MADV_HUGEPAGE)
    return area
