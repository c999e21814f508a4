"""Memory for what is read: given back when nobody uses it any more, and in large pages where there are some."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from functools import cache
from pathlib import Path

_M_ARENA_MAX = -8  # malloc.h of the GNU C library
_HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

LARGE = 2 * 1024 * 1024
"""Bytes of a large page on most computers: less than that is never in one."""


def share() -> None:
    """Let all threads allocate from one arena, where the C library has several.

    A mount's threads fetch large pieces that others let go of. With an arena for each, what is free in one is no use to
    the others: that took half as much again as the pieces do.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def allocate(size: int) -> bytearray | mmap.mmap:
    """So many bytes of zeros.

    The kernel takes five times as long to hand out 16 MiB in pages of 4096 bytes as in large ones, and hands those out
    only where they are asked for, unless its administrator has said otherwise.
    """
    if size < LARGE or not _has_large_pages():
        return bytearray(size)
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_HUGEPAGE)
    return area


@cache
def _has_large_pages() -> bool:
    try:
        return "[never]" not in _HUGE.read_text()
    except OSError:
        return False
