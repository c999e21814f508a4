"""``locks/``: a directory in memory where restic may write, or it would refuse to read. Pure.

It starts empty and is gone with the mount; nothing in it ever reaches the bucket. It holds files, no directories.
Where a mount shows several states, each has its own. Together they are bounded in bytes and in files: beyond that the
answer is ENOSPC, like a full disk.

A file lives as long as it has a name, an open handle or a lookup of the kernel, as POSIX wants it. Its bytes count
until then. Every error is a ScratchError with the errno that belongs to it. Times are nanoseconds since 1970 UTC.
"""

from __future__ import annotations

import errno
import os
import stat
import time

SCRATCH_INODE = 2
"""The number of the first directory; files and other directories have the numbers after it, each used once."""

MAX_BYTES = 16 * 1024 * 1024
MAX_FILES = 10_000
NAME_MAX = 255


class ScratchError(Exception):
    """A request that the scratch directory refuses; ``errno`` is its answer."""

    def __init__(self, code: int) -> None:
        super().__init__(os.strerror(code))
        self.errno = code


class ScratchFile:
    """A file: content, permission bits, owner, times, and who still holds it."""

    def __init__(self, inode: int, mode: int, uid: int, now: int) -> None:
        self.inode = inode
        self.mode = stat.S_IMODE(mode)
        self.uid = uid
        self.data = bytearray()
        self.atime = self.mtime = self.ctime = now
        self.names = 1
        self.lookups = 0
        self.handles = 0


class ScratchDirectory:
    """A directory: names, and when they last changed."""

    def __init__(self, inode: int) -> None:
        self.inode = inode
        self.mtime = time.time_ns()
        self.names: dict[bytes, ScratchFile] = {}


class Scratch:
    """The directories, of which the first is always there. ``directory`` is the number of the one that is meant.

    Not safe for several threads; no method waits, so each is atomic among tasks.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.used = 0
        self._directories: dict[int, ScratchDirectory] = {}
        self._files: dict[int, ScratchFile] = {}
        self._next = SCRATCH_INODE
        self.first = self.make_directory()

    def __len__(self) -> int:
        """How many files are alive, those without a name included."""
        return len(self._files)

    def __contains__(self, inode: int) -> bool:
        return inode in self._files

    def make_directory(self) -> ScratchDirectory:
        """One more directory, empty."""
        directory = self._directories[self._next] = ScratchDirectory(self._next)
        self._next += 1
        return directory

    def directory(self, inode: int) -> ScratchDirectory | None:
        """The directory of a number; None when it is none."""
        return self._directories.get(inode)

    def file(self, inode: int) -> ScratchFile:
        """The file of a number; ENOENT when it is gone."""
        try:
            return self._files[inode]
        except KeyError:
            raise ScratchError(errno.ENOENT) from None

    def find(self, name: bytes, directory: int = SCRATCH_INODE) -> ScratchFile:
        """The file of a name; ENOENT."""
        try:
            return self._directories[directory].names[name]
        except KeyError:
            raise ScratchError(errno.ENOENT) from None

    def list(self, after: int, directory: int = SCRATCH_INODE) -> list[tuple[bytes, ScratchFile]]:
        """Names with files of a number above ``after``, in the order of their creation."""
        names = [(name, file) for name, file in self._directories[directory].names.items() if file.inode > after]
        return sorted(names, key=lambda item: item[1].inode)

    def create(self, name: bytes, mode: int, uid: int = 0, directory: int = SCRATCH_INODE) -> ScratchFile:
        """A new, empty file of that user; EEXIST, ENAMETOOLONG, ENOSPC."""
        where = self._directories[directory]
        if len(name) > NAME_MAX:
            raise ScratchError(errno.ENAMETOOLONG)
        if name in where.names:
            raise ScratchError(errno.EEXIST)
        if len(self._files) >= self.max_files:
            raise ScratchError(errno.ENOSPC)
        where.mtime = time.time_ns()
        file = ScratchFile(self._next, mode, uid, where.mtime)
        self._next += 1
        where.names[name] = self._files[file.inode] = file
        return file

    def unlink(self, name: bytes, directory: int = SCRATCH_INODE) -> None:
        """Take the name away; ENOENT."""
        file, where = self.find(name, directory), self._directories[directory]
        del where.names[name]
        file.ctime = where.mtime = time.time_ns()
        file.names -= 1
        self._drop_if_unused(file)

    def rename(self, old: bytes, new: bytes, directory: int = SCRATCH_INODE, *, replace: bool = True) -> None:
        """Give the file another name, in one step, instead of the file that had it; ENOENT, EEXIST, ENAMETOOLONG."""
        file, where = self.find(old, directory), self._directories[directory]
        if len(new) > NAME_MAX:
            raise ScratchError(errno.ENAMETOOLONG)
        if new in where.names and not replace:
            raise ScratchError(errno.EEXIST)
        if old == new:
            return
        if new in where.names:
            self.unlink(new, directory)
        del where.names[old]
        where.names[new] = file
        file.ctime = where.mtime = time.time_ns()

    def write(self, file: ScratchFile, offset: int, data: bytes) -> int:
        """Write all of ``data``, and return its length; ENOSPC writes nothing."""
        end = offset + len(data)
        if end > len(file.data):
            self.resize(file, end)
        file.data[offset:end] = data
        file.mtime = file.ctime = time.time_ns()
        return len(data)

    def resize(self, file: ScratchFile, size: int) -> None:
        """Cut off or fill up with zeros; ENOSPC."""
        growth = size - len(file.data)
        if self.used + growth > self.max_bytes:
            raise ScratchError(errno.ENOSPC)
        if growth > 0:
            file.data.extend(bytes(growth))
        else:
            del file.data[size:]
        self.used += growth
        file.mtime = file.ctime = time.time_ns()

    def read(self, file: ScratchFile, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes, fewer only at the end."""
        return bytes(file.data[offset : offset + size])

    def hold(self, file: ScratchFile) -> None:
        """The kernel has looked the file up once more."""
        file.lookups += 1

    def forget(self, inode: int, lookups: int) -> None:
        """The kernel gives back so many of its lookups."""
        file = self.file(inode)
        file.lookups -= lookups
        self._drop_if_unused(file)

    def open(self, file: ScratchFile) -> None:
        """One more handle."""
        file.handles += 1

    def release(self, file: ScratchFile) -> None:
        """One handle less."""
        file.handles -= 1
        self._drop_if_unused(file)

    def _drop_if_unused(self, file: ScratchFile) -> None:
        if file.names or file.handles > 0 or file.lookups > 0:
            return
        if self._files.pop(file.inode, None) is not None:
            self.used -= len(file.data)
