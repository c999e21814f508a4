"""Large parts of files, read and written past the kernel's page cache (O_DIRECT) while the disk is fast enough.

The page cache takes the processor a copy, and the computer a page of memory for each 4 KiB, though what a mount reads
is in memory twice already: in the mount's own, and in the kernel's for its readers. On a slow disk it is worth that:
what is written goes there later, and nobody waits; what was written lately is read from memory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable

from rwmfs.buffer_pool import LARGE

PAGE = 4096
"""Bytes to whose multiples places in memory and in the file have to be aligned. Memory of LARGE bytes or more is."""

FAST = 200_000_000
"""Bytes a second from which a disk is fast, of all threads together."""

TELLING = 0.5
"""Seconds at work after which a disk is judged. Less says little: a thread also waits for the processor, and a file
that is new is slower."""

CONTINUOUS = 2.0
"""The same where there is always something to do."""

PAUSE = 60.0
"""Seconds before a disk that was slow is tried again, or a file system that knows no such thing."""

_CANNOT = (errno.EINVAL, errno.EOPNOTSUPP)  # on this file system, or with this memory


class Workload:
    """How fast a disk is while there is something to do, for all threads together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._counted_to = 0.0
        self._bytes = 0
        self._seconds = 0.0

    def begin(self, now: float) -> None:
        """Something was begun."""
        with self._lock:
            self._count(now)
            self._under_way += 1

    def end(self, done: int, now: float) -> float | None:
        """So many bytes of it were done. Bytes a second, whenever that can be told anew."""
        with self._lock:
            self._count(now)
            self._under_way -= 1
            self._bytes += done
            if self._seconds < (CONTINUOUS if self._under_way else TELLING):  # what is half done is not counted
                return None
            rate = self._bytes / self._seconds
            self._bytes, self._seconds = 0, 0.0
            return rate

    def _count(self, now: float) -> None:
        self._seconds += now - self._counted_to if self._under_way else 0.0
        self._counted_to = now


class DirectIO:
    """What is known of one disk. Threads may share it."""

    def __init__(self) -> None:
        self._resume_at = 0.0
        self._workload = Workload()

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
        size, done, now = length // PAGE * PAGE, 0, time.monotonic()
        if size < LARGE or now < self._resume_at:
            return 0
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        self._workload.begin(now)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
            done = act(size)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
        finally:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
            now = time.monotonic()
            rate = self._workload.end(done, now)
        if not done or (rate is not None and rate < FAST):
            self._resume_at = now + PAUSE
        return done


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
