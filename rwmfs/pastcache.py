"""Large parts of files, read and written past the kernel's page cache (O_DIRECT) while the disk is fast enough.

The page cache takes the processor a copy, and the computer a page of memory for each 4 KiB, though what a mount reads
is in memory twice already: in the mount's own, and in the kernel's for its readers. On a slow disk it is worth that:
what is written goes there later, and nobody waits; what was written lately is read from memory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable

from rwmfs.allocator import LARGE

PAGE = 4096
"""Bytes to whose multiples places in memory and in the file have to be aligned. Memory of LARGE bytes or more is."""

FAST = 200_000_000
"""Bytes a second from which a disk is fast."""

SLOW = 3
"""How often one after the other a disk may be slower: a thread may also have waited for the processor."""

PAUSE = 60.0
"""Seconds before a disk that was slow is tried again, or a file system that knows no such thing."""

_CANNOT = (errno.EINVAL, errno.EOPNOTSUPP)  # on this file system, or with this memory


class PastCache:
    """What is known of one disk. Threads may share it."""

    def __init__(self) -> None:
        self._resume_at = 0.0
        self._slow = 0

    def fill(self, descriptor: int, buffer: memoryview, offset: int) -> None:
        """Read until ``buffer`` is full or the file ends. Raises OSError."""
        done = self._try(descriptor, len(buffer), lambda size: fill(descriptor, buffer[:size], offset))
        fill(descriptor, buffer[done:], offset + done)

    def put(self, descriptor: int, data: memoryview, offset: int) -> None:
        """Write all of it. Raises OSError."""
        done = self._try(descriptor, len(data), lambda size: put(descriptor, data[:size], offset))
        put(descriptor, data[done:], offset + done)

    def _try(self, descriptor: int, length: int, act: Callable[[int], int]) -> int:
        """Do what there is to do with the first bytes past the cache, if that can be; how many there were."""
        size, done, began = length // PAGE * PAGE, 0, time.monotonic()
        if size < LARGE or began < self._resume_at:
            return 0
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
            done = act(size)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        finally:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
        self._judge(done, began, time.monotonic())
        return done

    def _judge(self, done: int, began: float, ended: float) -> None:
        """Leave the disk alone for a while, if it was too slow too often, or did nothing."""
        self._slow = self._slow + 1 if done < FAST * (ended - began) else 0
        if not done or self._slow == SLOW:
            self._resume_at, self._slow = ended + PAUSE, 0


def fill(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Read until ``buffer`` is full or the file ends; how many bytes came. Raises OSError."""
    done = 0
    while done < len(buffer) and (count := os.preadv(descriptor, [buffer[done:]], offset + done)):
        done += count
    return done


def put(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write all of ``data``, and say how much that was. Raises OSError.

    The system may take less at once when the disk gets full, and says so when it is asked again.
    """
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count
    return len(data)
