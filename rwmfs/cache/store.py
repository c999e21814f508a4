"""The disk cache: a :class:`~rwmfs.cache.interface.BlockStore` in a directory, shared by all mounts of a user.

An object version never changes, so a stored block is right as long as its checksum is. An error of the disk makes a
read a miss and a write do nothing; the bytes then come from S3. How much is stored is decided in
``rwmfs.cache.space``.

**Concurrency.** Any thread may call any method, and any number of processes may use one directory. Block files need no
lock (see ``rwmfs.cache.block_file``). A file that is evicted while it is open is a miss from the next open on. The only
lock here guards whether writing is suspended.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rwm.errors import ConfigError
from rwmfs.cache import block_file, directory
from rwmfs.cache.block_file import FileLayout
from rwmfs.cache.direct_io import DirectIO
from rwmfs.cache.interface import BLOCK, StoredRange
from rwmfs.cache.space import SpaceLimit
from rwmfs.object_id import ObjectId

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

log = logging.getLogger(__name__)

SUSPEND = 60.0
"""Seconds without writes after the disk was full or failed."""

USE_RESOLUTION = 60.0
"""Seconds within which a second use of a file is not recorded."""

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
# Errors of one file, or of a process without descriptors: they say nothing about the disk.
_NOT_THE_DISK = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EMFILE, errno.ENFILE}


class DiskCache:
    """The disk cache for one bucket of one server, in a directory that may serve several.

    ``limit`` is in bytes, for the whole directory. ``allocate`` returns a buffer for so many bytes.

    Raises ConfigError when the directory cannot be created or others can write to it; a disk that is full or read-only
    is no error.
    """

    def __init__(
        self,
        path: Path,
        limit: int,
        endpoint: str,
        bucket: str,
        allocate: Callable[[int], WriteableBuffer] = bytearray,
    ) -> None:
        self.directory = path.absolute()
        self._blocks = self.directory / directory.BLOCKS
        self._endpoint = endpoint
        self._bucket = bucket
        self._allocate = allocate
        self._direct_io = DirectIO()
        self._space = SpaceLimit(self._blocks, limit)
        self._is_closed = False
        self._lock = threading.Lock()  # guards the next two
        self._resume_at = 0.0  # time.monotonic before which nothing is written
        self._is_logged = False  # a warning about the suspension was logged, and no write has succeeded since
        try:
            directory.prepare(self.directory)
        except ConfigError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK_FULL):
                raise
            self._suspend_writes(error.__cause__)

    def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
        """Return exactly the bytes from ``start`` to ``stop`` (exclusive), or None if any is missing or damaged."""
        assert 0 <= start < stop <= object_id.size
        if self._is_closed:
            return None
        layout = self._layout(object_id)
        try:
            with directory.open_file(self._blocks, layout.name, os.O_RDONLY) as (descriptor, status):
                read_into, allocate = self._direct_io.read_into, self._allocate
                found = block_file.read(descriptor, layout, start, stop, read_into=read_into, allocate=allocate)
                if found is not None:
                    _record_use(descriptor, status)
                return found
        except block_file.DamagedBlock as damaged:
            self._forget_block(object_id, layout, damaged.block)
        except OSError as error:
            if error.errno != errno.ENOENT:
                log.debug("disk cache %s: cannot read %s: %s", self.directory, object_id.key, error.strerror)
        return None

    def write(
        self, object_id: ObjectId, start: int, data: bytes | bytearray | memoryview, *, verified: bool = False
    ) -> None:
        """Store whole blocks from ``start`` if there is room; see :meth:`rwmfs.cache.interface.BlockStore.write`."""
        view = memoryview(data).cast("B")
        stop = start + len(view)
        assert start % BLOCK == 0 and start < stop and (stop % BLOCK == 0 or stop == object_id.size)
        if self._is_closed or time.monotonic() < self._resume_at:
            return
        try:
            self._write(self._layout(object_id), start, view, verified)
        except ConfigError as error:
            self._suspend_writes(error)
        except OSError as error:
            if error.errno not in _NOT_THE_DISK:
                self._suspend_writes(error)
            else:
                log.debug("disk cache %s: cannot write %s: %s", self.directory, object_id.key, error.strerror)
        else:
            with self._lock:
                if time.monotonic() >= self._resume_at:
                    self._is_logged = False

    def drop(self, object_id: ObjectId) -> None:
        """Remove all blocks of an object whose content turned out to be wrong."""
        with suppress(OSError):
            directory.remove(self._blocks, self._layout(object_id).name)

    def close(self) -> None:
        """Ignore all later reads and writes; calls under way finish."""
        self._is_closed = True

    def _layout(self, object_id: ObjectId) -> FileLayout:
        return block_file.layout_of(self._endpoint, self._bucket, object_id)

    def _write(self, layout: FileLayout, start: int, view: memoryview, verified: bool) -> None:
        size, object_limit = layout.disk_size(len(view)), self._space.object_limit
        if size > object_limit:
            return
        if not directory.has_shard(self._blocks, layout.name):  # the first file of it, or the cache was removed
            directory.prepare(self.directory)
            directory.make_shard(self._blocks, layout.name)
        self._space.check_file_system(size)
        with directory.open_file(self._blocks, layout.name, os.O_RDWR | os.O_CREAT) as (descriptor, status):
            if layout.disk_size(layout.size) > object_limit and status.st_blocks * 512 + size > object_limit:
                return
            _record_use(descriptor, status)  # before make_room, which might evict this file otherwise
            self._space.make_room(size)
            block_file.write(descriptor, layout, start, view, verified=verified, write_all=self._direct_io.write_all)

    def _forget_block(self, object_id: ObjectId, layout: FileLayout, block: int) -> None:
        """Mark a damaged block as not stored, so that it is fetched and written again."""
        log.info("disk cache %s: a block of %s is damaged and is fetched again", self.directory, object_id.key)
        with suppress(OSError), directory.open_file(self._blocks, layout.name, os.O_RDWR) as (descriptor, _):
            block_file.forget(descriptor, layout, block)

    def _suspend_writes(self, error: ConfigError | OSError) -> None:
        """Write nothing for SUSPEND seconds; log the first of several suspensions in a row."""
        with self._lock:
            self._resume_at = time.monotonic() + SUSPEND
            is_logged, self._is_logged = self._is_logged, True
        if not is_logged:
            reason = error.message if isinstance(error, ConfigError) else error.strerror
            log.warning("disk cache %s: writes are suspended: %s", self.directory, reason)


def _record_use(descriptor: int, status: os.stat_result) -> None:
    """Set the modification time to now, if the last use was not just recorded and the file system allows it."""
    if abs(time.time() - status.st_mtime) > USE_RESOLUTION:
        with suppress(OSError):
            os.utime(descriptor)
