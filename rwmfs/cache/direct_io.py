"""Reads and writes of large ranges that bypass the kernel's page cache (O_DIRECT) while the disk is fast.

The page cache costs a copy, and a page of memory for each 4 KiB, though the data is in memory twice already: in the
buffer of the mount, and in the page cache of the files that it shows. On a slow disk the page cache is worth
its cost: writes return before they reach the disk, and recently written data is read from memory.
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
"""Alignment in bytes of memory, file offset and length for O_DIRECT. The buffer pool aligns buffers of LARGE bytes."""

FAST_DISK = 200_000_000
"""Bytes a second, of all threads together, below which O_DIRECT is suspended."""

SAMPLE = 0.5
"""Busy seconds that a measurement takes at least. Shorter ones vary too much: a thread also waits for the processor,
and the first writes to a new file are slower."""

SAMPLE_UNDER_LOAD = 2.0
"""Busy seconds after which a measurement ends although other operations are still under way."""

RETRY_AFTER = 60.0
"""Seconds before O_DIRECT is tried again after the disk was slow or the file system refused it."""

_UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP)  # by this file system, or for memory of this alignment


class ThroughputMeter:
    """Measures how fast a disk is while at least one operation is under way, over all threads.

    A lock guards all fields: any thread may call. Times are of ``time.monotonic``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0  # operations
        self._counted_to = 0.0  # when _seconds was last brought up to date
        self._bytes = 0  # done in this measurement
        self._seconds = 0.0  # busy in this measurement

    def begin(self, now: float) -> None:
        """Record that an operation starts."""
        with self._lock:
            self._add_busy_time(now)
            self._under_way += 1

    def end(self, done: int, now: float) -> float | None:
        """Record that an operation of ``done`` bytes has ended; the bytes a second if this completes a measurement."""
        with self._lock:
            self._add_busy_time(now)
            self._under_way -= 1
            self._bytes += done
            # Bytes of operations under way are not counted yet, so the time for them would distort a short sample.
            if self._seconds < (SAMPLE_UNDER_LOAD if self._under_way else SAMPLE):
                return None
            rate = self._bytes / self._seconds
            self._bytes, self._seconds = 0, 0.0
            return rate

    def _add_busy_time(self, now: float) -> None:
        self._seconds += now - self._counted_to if self._under_way else 0.0
        self._counted_to = now


class DirectIO:
    """Uses O_DIRECT for one disk where it helps. Any thread may call; each call needs a descriptor of its own."""

    def __init__(self) -> None:
        self._resume_at = 0.0  # time.monotonic before which O_DIRECT is not tried
        self._meter = ThroughputMeter()

    def read_into(self, descriptor: int, buffer: memoryview, offset: int) -> None:
        """Read until ``buffer`` is full or the file ends. Raises OSError."""
        done = self._try(descriptor, len(buffer), lambda size: read_into(descriptor, buffer[:size], offset))
        read_into(descriptor, buffer[done:], offset + done)

    def write_all(self, descriptor: int, data: memoryview, offset: int) -> None:
        """Write all of ``data``. Raises OSError."""
        done = self._try(descriptor, len(data), lambda size: write_all(descriptor, data[:size], offset))
        write_all(descriptor, data[done:], offset + done)

    def _try(self, descriptor: int, length: int, operation: Callable[[int], int]) -> int:
        """Run ``operation`` on the whole pages of ``length`` bytes with O_DIRECT if possible; how many bytes it did."""
        size, done, now = length // PAGE * PAGE, 0, time.monotonic()
        if size < LARGE or now < self._resume_at:
            return 0
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        self._meter.begin(now)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
            done = operation(size)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        finally:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
            now = time.monotonic()
            rate = self._meter.end(done, now)
        if not done or (rate is not None and rate < FAST_DISK):
            self._resume_at = now + RETRY_AFTER
        return done


def read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Read until ``buffer`` is full or the file ends; return how many bytes were read. Raises OSError."""
    done = 0
    while done < len(buffer) and (count := os.preadv(descriptor, [buffer[done:]], offset + done)):
        done += count
    return done


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write all of ``data``; return its length. Raises OSError.

    A disk that is nearly full may take less than it is given; the error comes with the next call.
    """
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count
    return len(data)
