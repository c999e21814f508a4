"""``locks/``: a directory in memory, because restic must create a lock file even to read. Pure.

It starts empty and ends with the mount; nothing in it ever reaches the bucket. It holds files only, no directories.
A mount has one ``locks/`` in the root of each state and of each repository. Limits on bytes and files apply to all of
them together; beyond them the answer is ENOSPC, as on a full disk.

A file is freed when it has no name, no open handle and no lookup count, as POSIX demands. Its bytes count until then.
An empty directory without a lookup count is freed too, so their number is limited by what the kernel holds. It has the
same inode when it is made again.
Every error is a LocksError with its errno. Times are nanoseconds since 1970 UTC.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from hashlib import blake2b
from itertools import count

LOCKS_INODE = 2
"""The inode of the directory in the root of the mount. Files get the inodes after it, each used once."""

FIRST_DIRECTORY_INODE = 1 << 61
"""Inodes of other directories begin here and end before those of the tree, at twice that number."""

MAX_BYTES = 16 * 1024 * 1024
MAX_FILES = 10_000
NAME_MAX = 255


class LocksError(Exception):
    """A refused request; ``errno`` is the answer to it."""

    def __init__(self, code: int) -> None:
        super().__init__(os.strerror(code))
        self.errno = code


class LockFile:
    """A file: content, permission bits, owner, times, and the counts that keep it alive."""

    def __init__(self, inode: int, mode: int, uid: int, now: int) -> None:
        self.inode = inode
        self.mode = stat.S_IMODE(mode)
        self.uid = uid
        self.data = bytearray()
        self.atime = self.mtime = self.ctime = now
        self.nlink = 1
        self.lookup_count = 0
        self.open_count = 0


class LocksDir:
    """One ``locks/`` directory: its files by name, and when they last changed.

    ``parent`` is the directory that it is in, by its id in the Contents.
    """

    __slots__ = ("files", "inode", "lookup_count", "mtime", "parent")

    def __init__(self, inode: int, parent: int, mtime: int) -> None:
        self.inode = inode
        self.parent = parent
        self.mtime = mtime
        self.files: dict[bytes, LockFile] = {}
        self.lookup_count = 0


class LocksDirs:
    """The ``locks/`` directories of a mount that are in use, and always the one for its root.

    ``root`` is the id of the root in the Contents. Arguments ``directory`` are inodes.

    Not thread-safe. No method awaits, so each is atomic among tasks.
    """

    def __init__(self, root: int = 0, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.used_bytes = 0
        self._started = time.time_ns()
        self._key = secrets.token_bytes(16)
        self._root = LocksDir(LOCKS_INODE, root, self._started)
        self._directories = {LOCKS_INODE: self._root}
        self._by_parent = {root: self._root}
        self._files: dict[int, LockFile] = {}
        self._next_inode = LOCKS_INODE + 1

    def __len__(self) -> int:
        """Number of files, unlinked ones that are still in use included."""
        return len(self._files)

    def __contains__(self, inode: int) -> bool:
        return inode in self._files

    def is_used_in(self, parent: int) -> bool:
        """Whether the kernel holds the ``locks/`` in the directory with that id in the Contents, or it has files."""
        directory = self._by_parent.get(parent)
        return directory is not None and (directory.lookup_count > 0 or bool(directory.files))

    def directory_in(self, parent: int) -> LocksDir:
        """The ``locks/`` of the directory with that id in the Contents; an empty one is made on first use."""
        directory = self._by_parent.get(parent)
        if directory is None:
            directory = LocksDir(self._free_directory_inode(parent), parent, self._started)
            self._directories[directory.inode] = self._by_parent[parent] = directory
        return directory

    def _free_directory_inode(self, parent: int) -> int:
        """A hash of the parent's id; if another directory has it (very unlikely), the next number."""
        digest = blake2b(str(parent).encode(), digest_size=8, key=self._key).digest()
        candidates = count(FIRST_DIRECTORY_INODE + int.from_bytes(digest, "little") % FIRST_DIRECTORY_INODE)
        return next(inode for inode in candidates if inode not in self._directories)

    def directory(self, inode: int) -> LocksDir | None:
        """The directory with that inode, or None."""
        return self._directories.get(inode)

    def file(self, inode: int) -> LockFile:
        """The file with that inode; ENOENT."""
        try:
            return self._files[inode]
        except KeyError:
            raise LocksError(errno.ENOENT) from None

    def find(self, name: bytes, directory: int = LOCKS_INODE) -> LockFile:
        """The file of that name; ENOENT."""
        try:
            return self._directories[directory].files[name]
        except KeyError:
            raise LocksError(errno.ENOENT) from None

    def list(self, after: int, directory: int = LOCKS_INODE) -> list[tuple[bytes, LockFile]]:
        """Names and files with inodes above ``after``, in order of creation."""
        files = [(name, file) for name, file in self._directories[directory].files.items() if file.inode > after]
        return sorted(files, key=lambda item: item[1].inode)

    def create(self, name: bytes, mode: int, uid: int = 0, directory: int = LOCKS_INODE) -> LockFile:
        """Create an empty file owned by ``uid``; EEXIST, ENAMETOOLONG, ENOSPC."""
        parent = self._directories[directory]
        if len(name) > NAME_MAX:
            raise LocksError(errno.ENAMETOOLONG)
        if name in parent.files:
            raise LocksError(errno.EEXIST)
        if len(self._files) >= self.max_files:
            raise LocksError(errno.ENOSPC)
        parent.mtime = time.time_ns()
        file = LockFile(self._next_inode, mode, uid, parent.mtime)
        self._next_inode += 1
        parent.files[name] = self._files[file.inode] = file
        return file

    def unlink(self, name: bytes, directory: int = LOCKS_INODE) -> None:
        """Remove a name; ENOENT."""
        file, parent = self.find(name, directory), self._directories[directory]
        del parent.files[name]
        file.ctime = parent.mtime = time.time_ns()
        file.nlink -= 1
        self._free_if_unused(file)

    def rename(self, old: bytes, new: bytes, directory: int = LOCKS_INODE, *, replace: bool = True) -> None:
        """Rename a file atomically, over an existing one if ``replace``; ENOENT, EEXIST, ENAMETOOLONG."""
        file, parent = self.find(old, directory), self._directories[directory]
        if len(new) > NAME_MAX:
            raise LocksError(errno.ENAMETOOLONG)
        if new in parent.files and not replace:
            raise LocksError(errno.EEXIST)
        if old == new:
            return
        if new in parent.files:
            self.unlink(new, directory)
        del parent.files[old]
        parent.files[new] = file
        file.ctime = parent.mtime = time.time_ns()

    def write(self, file: LockFile, offset: int, data: bytes) -> int:
        """Write all of ``data`` and return its length; ENOSPC writes nothing."""
        end = offset + len(data)
        if end > len(file.data):
            self.truncate(file, end)
        file.data[offset:end] = data
        file.mtime = file.ctime = time.time_ns()
        return len(data)

    def truncate(self, file: LockFile, size: int) -> None:
        """Cut the file to ``size`` bytes, or extend it with zeros; ENOSPC."""
        growth = size - len(file.data)
        if self.used_bytes + growth > self.max_bytes:
            raise LocksError(errno.ENOSPC)
        if growth > 0:
            file.data.extend(bytes(growth))
        else:
            del file.data[size:]
        self.used_bytes += growth
        file.mtime = file.ctime = time.time_ns()

    def read(self, file: LockFile, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes, fewer only at the end of the file."""
        return bytes(file.data[offset : offset + size])

    def add_lookup(self, found: LockFile | LocksDir) -> None:
        """Count one more lookup by the kernel."""
        found.lookup_count += 1

    def forget(self, inode: int, nlookup: int) -> None:
        """Subtract ``nlookup`` from the lookup count of a file or directory."""
        if directory := self.directory(inode):
            directory.lookup_count -= nlookup
            self._free_if_empty(directory)
            return
        file = self.file(inode)
        file.lookup_count -= nlookup
        self._free_if_unused(file)

    def open(self, file: LockFile) -> None:
        """Count one more open handle."""
        file.open_count += 1

    def release(self, file: LockFile) -> None:
        """Count one open handle less."""
        file.open_count -= 1
        self._free_if_unused(file)

    def _free_if_empty(self, directory: LocksDir) -> None:
        if directory.lookup_count <= 0 and not directory.files and directory is not self._root:
            del self._directories[directory.inode], self._by_parent[directory.parent]

    def _free_if_unused(self, file: LockFile) -> None:
        if file.nlink or file.open_count > 0 or file.lookup_count > 0:
            return
        if self._files.pop(file.inode, None) is not None:
            self.used_bytes -= len(file.data)
