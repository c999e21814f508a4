"""Memory for what is read: used again, given back when there is too much of it, and in large pages where possible."""

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
"""Bytes of a large page on most computers: less than that is never in one."""


def share() -> None:
    """Let all threads allocate from one arena, where the C library has several.

    A mount's threads fetch pieces that others let go of. With an arena for each, what is free in one is no use to the
    others: that took half as much again as the pieces do.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def idle_part(memory: int) -> int:
    """How much of a mount's memory may wait to be used again: an eighth, where that is a large piece at all."""
    return memory // 8 if memory // 8 >= LARGE else 0


class Pool:
    """Large pieces of memory, used again. At most ``idle`` bytes of it wait for that. Any thread may ask.

    The kernel clears every page that it hands out, and takes five times as long to hand out 16 MiB in pages of 4096
    bytes as in large ones, which it does only where it is asked to, unless its administrator has said otherwise. A
    virtual computer may have to get the page from its host first.
    """

    def __init__(self, idle: int) -> None:
        self.idle = idle
        # That nobody uses, the one that has waited longest first. There is no lock, and each step is one of the deque:
        # what is let go of comes back at any moment, in any thread, also in the middle of what is done here.
        self._areas: deque[mmap.mmap] = deque()

    def allocate(self, size: int) -> WriteableBuffer:
        """Room for so many bytes, with anything in it. It comes back by itself when nothing refers to it any more."""
        if size < LARGE:
            return bytearray(size)
        area = self._take(size) or _new(size)
        room = (ctypes.c_char * len(area)).from_buffer(area)  # every view of the memory refers to this
        weakref.finalize(room, self._give_back, area).atexit = False
        return memoryview(room).cast("B")[:size]

    def _take(self, size: int) -> mmap.mmap | None:
        """An area of that size, or somewhat larger; the pages that are too much are given back to the kernel."""
        for area in sorted(self._areas.copy(), key=len):
            if size <= len(area) <= size + size // 4:
                try:
                    self._areas.remove(area)
                except ValueError:  # somebody else has taken it
                    continue
                needed = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
                if needed < len(area):
                    area.madvise(mmap.MADV_DONTNEED, needed, len(area) - needed)
                return area
        return None

    def _give_back(self, area: mmap.mmap) -> None:
        self._areas.append(area)
        while sum(map(len, self._areas.copy())) > self.idle:
            with contextlib.suppress(IndexError):  # somebody else has taken what there was
                self._areas.popleft()


def _new(size: int) -> mmap.mmap:
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel that knows none
        area.madvise(mmap.MADV_HUGEPAGE)
    return area
