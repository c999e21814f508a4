"""Memory for what is read: used again, given back when there is too much of it, and in large pages where possible."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import weakref
from threading import RLock
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


class Pool:
    """Large pieces of memory, used again. At most ``idle`` bytes of it wait for that. Any thread may ask.

    The kernel clears every page that it hands out, and takes five times as long to hand out 16 MiB in pages of 4096
    bytes as in large ones, which it does only where it is asked to, unless its administrator has said otherwise. A
    virtual computer may have to get the page from its host first.
    """

    def __init__(self, idle: int) -> None:
        self.idle = idle
        self._areas: list[mmap.mmap] = []  # that nobody uses, the one that has waited longest first
        self._lock = RLock()  # what is let go of comes back in any thread, at any moment

    def allocate(self, size: int) -> WriteableBuffer:
        """Room for so many bytes, with anything in it. It comes back by itself when nothing refers to it any more."""
        if size < LARGE:
            return bytearray(size)
        whole = -(-size // LARGE) * LARGE
        area = self._take(whole) or _new(whole)
        room = (ctypes.c_char * len(area)).from_buffer(area)  # every view of the memory refers to this
        weakref.finalize(room, self._give_back, area).atexit = False
        return memoryview(room).cast("B")[:size]

    def _take(self, size: int) -> mmap.mmap | None:
        """An area of that size, or somewhat larger; what is too much of it is given back to the kernel."""
        with self._lock:
            fitting = (area for area in self._areas if size <= len(area) <= size + size // 4)
            area = min(fitting, key=len, default=None)
            if area is not None:
                self._areas.remove(area)
        if area is not None and len(area) > size:
            area.madvise(mmap.MADV_DONTNEED, size, len(area) - size)
        return area

    def _give_back(self, area: mmap.mmap) -> None:
        with self._lock:
            self._areas.append(area)
            while sum(map(len, self._areas)) > self.idle:
                self._areas.pop(0)


def _new(size: int) -> mmap.mmap:
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel that knows none
        area.madvise(mmap.MADV_HUGEPAGE)
    return area
