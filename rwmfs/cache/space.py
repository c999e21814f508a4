"""Bounds the disk space of the cache: evicts the least recently used files, keeps part of the file system free.

A process scans the directory at its first write, and again whenever it has written a *step*: a sixteenth of the limit,
at most 64 MiB. If less than a step is then left below the limit, files are evicted until nine tenths of the limit are
in use. So one process stays within the limit, except for what its threads are writing at that moment, and each further
process may exceed it by a step. One object takes at most a quarter of the limit, so that a large one does not evict
all others.

Any thread may call. A lock in memory guards the counter of a process; a flock on a file in the directory makes sure
that one thread of one process evicts at a time. The others write on without waiting.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rwmfs.cache import directory

MAX_STEP = 64 * 1024 * 1024
"""Bytes written between two scans at most."""

LOCK = "lock"


def reserved_space(total: int) -> int:
    """Bytes of a file system of ``total`` bytes that the cache leaves free: 2 %, at least 256 MiB. Pure."""
    return max(256 * 1024 * 1024, total // 50)


class SpaceLimit:
    """The limit of one cache directory, in bytes, over all servers and buckets."""

    def __init__(self, blocks: Path, limit: int) -> None:
        self.limit = limit
        self.object_limit = limit // 4
        """Bytes of disk space for one object."""
        self._blocks = blocks
        self._step = min(limit // 16, MAX_STEP)
        self._lock = threading.Lock()  # guards _unscanned
        self._unscanned = self._step  # bytes written since the last scan; a full step makes the first write scan

    def check_file_system(self, size: int) -> None:
        """Raise OSError if writing ``size`` bytes would use space that has to stay free."""
        system = os.statvfs(self._blocks)
        if system.f_bavail * system.f_frsize - size < reserved_space(system.f_blocks * system.f_frsize):
            raise OSError(errno.ENOSPC, "the file system is almost full")

    def make_room(self, size: int) -> None:
        """Count ``size`` bytes that are about to be written; scan and evict when a step is used up. Raises OSError."""
        with self._lock:
            self._unscanned += size
            if self._unscanned <= self._step:
                return
        with _try_lock(self._blocks / LOCK) as is_locked:
            with self._lock:
                scanned = self._unscanned - size
                if not is_locked or scanned + size <= self._step:  # another thread evicts, or has just done so
                    return
            files = list(directory.scan(self._blocks))
            limit = self.limit - max(size, self._step)  # leaves room until the next scan
            if sum(file.size for file in files) > limit:
                for file in directory.files_to_evict(files, min(limit, self.limit * 9 // 10)):
                    directory.remove(self._blocks, file.name)
            with self._lock:
                self._unscanned -= scanned


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Lock a file against other threads and processes, without waiting; whether it is ours. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
