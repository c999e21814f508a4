"""What stat(2) shows. A part of the adapter: it fills in the structures of pyfuse3."""

from __future__ import annotations

import stat

import pyfuse3

from rwmfs.fuse.access import Access
from rwmfs.read import USUAL
from rwmfs.tree import Found, Link, ScratchDirectory, ScratchFile, Text

FOREVER = 10 * 365 * 24 * 3600
"""Seconds that the kernel may believe what it was told about a state."""

LIVE = 1
"""The same for what is above the states."""

MS = 1_000_000
"""Nanoseconds of a millisecond."""


class Attributes:
    """Makes attributes for one mount."""

    def __init__(self, access: Access) -> None:
        self.access = access

    def directory(self, inode: int, time: int, lifetime: int) -> pyfuse3.EntryAttributes:
        """A directory outside ``locks/``, of a time in milliseconds, to be believed for so many seconds."""
        return self._stat(inode, stat.S_IFDIR | self.access.directory, 0, time * MS, lifetime)

    def of(self, inode: int, found: Found, time: int, lifetime: int) -> pyfuse3.EntryAttributes:
        """What was found outside ``locks/``; the time is for a directory, all else has its own."""
        if isinstance(found, Link):
            return self._stat(inode, stat.S_IFLNK | 0o777, len(found.target.encode()), found.time * MS, lifetime)
        if isinstance(found, Text):  # how long it is shows when it is read
            return self._stat(inode, stat.S_IFREG | self.access.file, 0, found.time * MS, lifetime)
        if found.entry is None:
            return self.directory(inode, time, lifetime)
        return self._stat(
            inode, stat.S_IFREG | self.access.file, found.entry.size, found.entry.last_modified * MS, lifetime
        )

    def locks(self, directory: ScratchDirectory) -> pyfuse3.EntryAttributes:
        """A scratch directory itself."""
        return self._stat(directory.inode, stat.S_IFDIR | self.access.locks, 0, directory.mtime, lifetime=0)

    def scratch(self, file: ScratchFile) -> pyfuse3.EntryAttributes:
        """A file of a scratch directory. It belongs to whoever made it."""
        answer = self._stat(file.inode, stat.S_IFREG | file.mode, len(file.data), file.mtime, lifetime=0)
        answer.st_uid = file.uid
        answer.st_nlink = file.names
        answer.st_atime_ns, answer.st_ctime_ns = file.atime, file.ctime
        return answer

    def _stat(self, inode: int, mode: int, size: int, time_ns: int, lifetime: int) -> pyfuse3.EntryAttributes:
        answer = pyfuse3.EntryAttributes()
        answer.st_ino = inode
        answer.st_mode = mode
        answer.st_size = size
        answer.st_blocks = -(-size // 512)
        answer.st_blksize = USUAL
        answer.st_uid, answer.st_gid = self.access.uid, self.access.gid
        answer.st_atime_ns = answer.st_mtime_ns = answer.st_ctime_ns = time_ns
        answer.entry_timeout = answer.attr_timeout = lifetime
        return answer


def absent(lifetime: int) -> pyfuse3.EntryAttributes:
    """The answer that a name does not exist, to be believed for so many seconds."""
    answer = pyfuse3.EntryAttributes()
    answer.st_ino = 0
    answer.entry_timeout = lifetime
    return answer
