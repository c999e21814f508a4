"""What was read stays on disk, for all mounts of the user: bounded, never stale, and never in the way.

An object version does not change, so what is kept is right for as long as its checksums are. Whatever goes wrong with
the disk is a miss for a read and nothing for a write: the bytes come from S3 then.

**Who may call.** Every method may be called from any thread, and any number of processes may use one directory. The
files need no locks (see ``rwmfs.cache.block_file``). One process at a time makes room, by the lock in the directory;
a file that leaves while somebody has it open is a miss later.

**The bound.** A process looks at the whole directory when it writes for the first time, and again whenever it has
written a *step*: a sixteenth of the limit, at most 64 MiB. If less than a step is left then, the least recently used
objects leave until nine tenths of the limit are taken. So one process stays within the limit, but for what its threads
are writing at that moment, and each further process may add a step. Of one object at most a quarter of the limit is
kept, so that a large one does not push out all others. The rest of the file system keeps its room: when less than
256 MiB or 2 % of it is free, nothing is written.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rwm.errors import ConfigError
from rwmfs.cache import block_file
from rwmfs.cache import directory as cache_directory
from rwmfs.cache.block_file import BLOCK, Identity, StoredRange
from rwmfs.cache.direct_io import DirectIO
from rwmfs.object_id import ObjectId

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["BLOCK", "DiskCache"]

log = logging.getLogger(__name__)

STEP = 64 * 1024 * 1024
PAUSE = 60.0
"""Seconds without writing after the disk was full or failed."""

COARSE = 60.0
"""Seconds within which a second use of an object is not recorded."""

LOCK = "lock"

_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
# What is wrong with one file, or with us for a moment, and says nothing of the disk.
_PASSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EMFILE, errno.ENFILE}


def free_to_leave(total: int) -> int:
    """Bytes of a file system of ``total`` bytes that the cache does not use. Pure."""
    return max(256 * 1024 * 1024, total // 50)


class DiskCache:
    """The disk cache for one bucket of one server. ``limit`` is in bytes, over all buckets and servers.

    ``allocate`` makes room for so many bytes.

    Raises ConfigError when the directory cannot be made, or somebody else could write to it. A disk that is full or
    read-only is no error.
    """

    def __init__(
        self,
        directory: Path,
        limit: int,
        endpoint: str,
        bucket: str,
        allocate: Callable[[int], WriteableBuffer] = bytearray,
    ) -> None:
        self.directory = directory.absolute()
        self.limit = limit
        self._blocks = self.directory / cache_directory.BLOCKS
        self._endpoint = endpoint
        self._bucket = bucket
        self._disk = DirectIO()
        self._allocate = allocate
        self._step = min(limit // 16, STEP)
        self._lock = threading.Lock()  # for what follows
        self._unseen = self._step
        self._resume_at = 0.0
        self._is_told = False
        self._is_closed = False
        try:
            cache_directory.prepare(self.directory)
        except ConfigError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in _ROOM):
                raise
            self._pause(error.__cause__)

    def read(self, object: ObjectId, start: int, stop: int) -> StoredRange | None:
        """Exactly the bytes from ``start`` to ``stop`` (exclusive), or None if they are not all here and whole."""
        assert 0 <= start < stop <= object.size
        if self._is_closed:
            return None
        identity = self._identity(object)
        try:
            with cache_directory.opened(self._blocks, identity.name, os.O_RDONLY) as (descriptor, found):
                fill, allocate = self._disk.fill, self._allocate
                kept = block_file.read(descriptor, identity, start, stop, fill=fill, allocate=allocate)
                if kept is not None:
                    _record_use(descriptor, found)
                return kept
        except block_file.Damaged as damaged:
            self._forget(object, identity, damaged.grain)
        except OSError as error:
            if error.errno != errno.ENOENT:
                log.debug("disk cache %s: %s is not read: %s", self.directory, object.key, error.strerror)
        return None

    def write(
        self, object: ObjectId, start: int, data: bytes | bytearray | memoryview, *, proven: bool = False
    ) -> None:
        """Keep the bytes from ``start`` on, if there is room.

        ``start`` is a multiple of BLOCK; the data ends at one, or at the end of the object. ``proven`` says that the
        whole object is what its name says.
        """
        view = memoryview(data).cast("B")
        stop = start + len(view)
        assert start % BLOCK == 0 and start < stop and (stop % BLOCK == 0 or stop == object.size)
        if self._is_closed or time.monotonic() < self._resume_at:
            return
        identity = self._identity(object)
        try:
            self._write(identity, start, view, proven)
        except ConfigError as error:
            self._pause(error)
        except OSError as error:
            if error.errno not in _PASSING:
                self._pause(error)
            else:
                log.debug("disk cache %s: %s is not kept: %s", self.directory, object.key, error.strerror)
        else:
            with self._lock:
                if time.monotonic() >= self._resume_at:
                    self._is_told = False

    def drop(self, object: ObjectId) -> None:
        """Forget the object: its content was found to be wrong."""
        with suppress(OSError):
            cache_directory.remove(self._blocks, self._identity(object).name)

    def close(self) -> None:
        """From now on nothing is read or written; calls under way go on to their end."""
        self._is_closed = True

    def _identity(self, version: ObjectId) -> Identity:
        return block_file.identify(self._endpoint, self._bucket, version)

    def _write(self, identity: Identity, start: int, view: memoryview, proven: bool) -> None:
        cost, share = identity.cost(len(view)), self.limit // 4
        if cost > share:
            return
        if not cache_directory.has_shard(self._blocks, identity.name):  # new, or somebody removed the directory
            cache_directory.prepare(self.directory)
            cache_directory.make_shard(self._blocks, identity.name)
        system = os.statvfs(self._blocks)
        if system.f_bavail * system.f_frsize - cost < free_to_leave(system.f_blocks * system.f_frsize):
            raise OSError(errno.ENOSPC, "hardly any room is left on the file system")
        with cache_directory.opened(self._blocks, identity.name, os.O_RDWR | os.O_CREAT) as (descriptor, found):
            if identity.cost(identity.size) > share and found.st_blocks * 512 + cost > share:
                return
            _record_use(descriptor, found)  # or it might have to leave now
            self._make_room(cost)
            block_file.write(descriptor, identity, start, view, proven=proven, put=self._disk.put)

    def _forget(self, version: ObjectId, identity: Identity, grain: int) -> None:
        """Have a damaged grain fetched and written anew."""
        log.info("disk cache %s: a part of %s is damaged, and fetched anew", self.directory, version.key)
        with suppress(OSError), cache_directory.opened(self._blocks, identity.name, os.O_RDWR) as (descriptor, _):
            block_file.forget(descriptor, identity, grain)

    def _make_room(self, size: int) -> None:
        """Count ``size`` bytes that will be written, and look at the directory when it is time. Raises OSError."""
        with self._lock:
            self._unseen += size
            if self._unseen <= self._step:
                return
        with _alone(self._blocks / LOCK) as is_ours:
            with self._lock:
                seen = self._unseen - size
                if not is_ours or seen + size <= self._step:  # somebody else does it, or just did
                    return
            files = list(cache_directory.scan(self._blocks))
            room = self.limit - max(size, self._step)  # what may be taken until the next look
            if sum(file.size for file in files) > room:
                for file in cache_directory.surplus(files, min(room, self.limit * 9 // 10)):
                    cache_directory.remove(self._blocks, file.name)
            with self._lock:
                self._unseen -= seen

    def _pause(self, error: ConfigError | OSError) -> None:
        """Write nothing for a while, and say so once."""
        with self._lock:
            self._resume_at = time.monotonic() + PAUSE
            is_told, self._is_told = self._is_told, True
        if not is_told:
            why = error.message if isinstance(error, ConfigError) else error.strerror
            log.warning("disk cache %s: nothing is kept for now: %s", self.directory, why)


def _record_use(descriptor: int, found: os.stat_result) -> None:
    """Where the file system allows it, and not for every read."""
    if abs(time.time() - found.st_mtime) > COARSE:
        with suppress(OSError):
            os.utime(descriptor)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other process, and no other thread, is in this block. Raises OSError."""
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
