"""What stat(2) shows. A part of the adapter: it fills in the structures of pyfuse3."""

from __future__ import annotations

import stat

import pyfuse3

from rwm.model import Entry
from rwmfs.access import Access
from rwmfs.pieces import WINDOW
from rwmfs.scratch import SCRATCH_INODE, Scratch, ScratchFile

FOREVER = 10 * 365 * 24 * 3600
"""Seconds that the kernel may believe what it was told about the state."""

MS = 1_000_000
"""Nanoseconds of a millisecond."""


class Attributes:
    """Makes attributes for one mount. ``state_time`` is in milliseconds."""

    def __init__(self, access: Access, state_time: int) -> None:
        self.access = access
        self._state_time_ns = state_time * MS

    def of(self, inode: int, entry: Entry | None) -> pyfuse3.EntryAttributes:
        """A file of the state, or a directory (``entry`` is None)."""
        if entry is None:
            return self._stat(inode, stat.S_IFDIR | self.access.directory, 0, self._state_time_ns)
        return self._stat(inode, stat.S_IFREG | self.access.file, entry.size, entry.last_modified * MS)

    def locks(self, scratch: Scratch) -> pyfuse3.EntryAttributes:
        """The scratch directory itself."""
        return self._stat(SCRATCH_INODE, stat.S_IFDIR | self.access.locks, 0, scratch.mtime, lifetime=0)

    def scratch(self, file: ScratchFile) -> pyfuse3.EntryAttributes:
        """A file of the scratch directory. It belongs to whoever made it."""
        answer = self._stat(file.inode, stat.S_IFREG | file.mode, len(file.data), file.mtime, lifetime=0)
        answer.st_uid = file.uid
        answer.st_nlink = file.names
        answer.st_atime_ns, answer.st_ctime_ns = file.atime, file.ctime
        return answer

    def _stat(self, inode: int, mode: int, size: int, time_ns: int, lifetime: int = FOREVER) -> pyfuse3.EntryAttributes:
        answer = pyfuse3.EntryAttributes()
        answer.st_ino = inode
        answer.st_mode = mode
        answer.st_size = size
        answer.st_blocks = -(-size // 512)
        answer.st_blksize = WINDOW
        answer.st_uid, answer.st_gid = self.access.uid, self.access.gid
        answer.st_atime_ns = answer.st_mtime_ns = answer.st_ctime_ns = time_ns
        answer.entry_timeout = answer.attr_timeout = lifetime
        return answer


def absent() -> pyfuse3.EntryAttributes:
    """The answer that a name does not exist, for the kernel to keep."""
    answer = pyfuse3.EntryAttributes()
    answer.st_ino = 0
    answer.entry_timeout = FOREVER
    return answer
