"""Attributes and timeouts as pyfuse3 structures: what stat(2) shows."""

from __future__ import annotations

import stat

import pyfuse3

from rwmfs.access import Access
from rwmfs.read import DEFAULT_REQUEST_SIZE
from rwmfs.tree import DirEntry, GeneratedFile, LockFile, LocksDir, Symlink

IMMUTABLE_TIMEOUT = 10 * 365 * 24 * 3600
"""Entry and attribute timeout within a state, in seconds: practically infinite."""

LIVE_TIMEOUT = 1
"""Entry and attribute timeout above the states, in seconds."""

NS_PER_MS = 1_000_000


class Attributes:
    """Builds the attributes of one mount. Times are in milliseconds, timeouts in seconds."""

    def __init__(self, access: Access) -> None:
        self.access = access

    def directory(self, inode: int, time: int, timeout: int) -> pyfuse3.EntryAttributes:
        """A directory other than ``locks/``."""
        return self._stat(inode, stat.S_IFDIR | self.access.directory, 0, time * NS_PER_MS, timeout)

    def entry(self, inode: int, entry: DirEntry, time: int, timeout: int) -> pyfuse3.EntryAttributes:
        """Any directory entry outside ``locks/``. ``time`` is used for a directory; all others have their own."""
        if isinstance(entry, Symlink):
            return self._stat(inode, stat.S_IFLNK | 0o777, len(entry.target.encode()), entry.time * NS_PER_MS, timeout)
        if isinstance(entry, GeneratedFile):  # its size is unknown until it is opened
            return self._stat(inode, stat.S_IFREG | self.access.file, 0, entry.time * NS_PER_MS, timeout)
        if entry.entry is None:
            return self.directory(inode, time, timeout)
        mtime = entry.entry.last_modified * NS_PER_MS
        return self._stat(inode, stat.S_IFREG | self.access.file, entry.entry.size, mtime, timeout)

    def locks_dir(self, directory: LocksDir) -> pyfuse3.EntryAttributes:
        """A ``locks/`` directory."""
        return self._stat(directory.inode, stat.S_IFDIR | self.access.locks, 0, directory.mtime, timeout=0)

    def lock_file(self, file: LockFile) -> pyfuse3.EntryAttributes:
        """A file in ``locks/``, owned by its creator."""
        attributes = self._stat(file.inode, stat.S_IFREG | file.mode, len(file.data), file.mtime, timeout=0)
        attributes.st_uid = file.uid
        attributes.st_nlink = file.nlink
        attributes.st_atime_ns, attributes.st_ctime_ns = file.atime, file.ctime
        return attributes

    def _stat(self, inode: int, mode: int, size: int, time_ns: int, timeout: int) -> pyfuse3.EntryAttributes:
        attributes = pyfuse3.EntryAttributes()
        attributes.st_ino = inode
        attributes.st_mode = mode
        attributes.st_size = size
        attributes.st_blocks = -(-size // 512)
        attributes.st_blksize = DEFAULT_REQUEST_SIZE
        attributes.st_uid, attributes.st_gid = self.access.uid, self.access.gid
        attributes.st_atime_ns = attributes.st_mtime_ns = attributes.st_ctime_ns = time_ns
        attributes.entry_timeout = attributes.attr_timeout = timeout
        return attributes


def negative_entry(timeout: int) -> pyfuse3.EntryAttributes:
    """The answer that a name does not exist, which the kernel may cache for ``timeout`` seconds."""
    attributes = pyfuse3.EntryAttributes()
    attributes.st_ino = 0
    attributes.entry_timeout = timeout
    return attributes
