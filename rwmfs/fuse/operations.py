"""The FUSE handlers that read: inodes, handles and errnos. They decide nothing about content.

Handlers run as trio tasks, many at a time. Only ``read`` awaits (for S3), and ``opendir`` before it begins. Every other
handler runs without an await and is therefore atomic, so nothing here needs a lock. The contents are queried in the
trio thread: an index answers within microseconds.

Names are bytes at the kernel's side and str inside. A name that is not UTF-8 is in no state, so it does not exist.

**Errors** become errnos in ``rwmfs.fuse.errno_mapping``. Handlers that modify something are in
``rwmfs.fuse.write_handlers``.

**Timeouts.** A state never changes, so within it the kernel may cache entries, attributes and negative entries for
ever. Above the states names come and go: one second. In ``locks/`` nothing is cached.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence

import pyfuse3

from rwm.model import TreeNode
from rwmfs.access import Access
from rwmfs.fuse.attributes import IMMUTABLE_TIMEOUT, LIVE_TIMEOUT, Attributes, negative_entry
from rwmfs.fuse.errno_mapping import handler
from rwmfs.fuse.invalidation import DentryInvalidation
from rwmfs.fuse.write_handlers import WriteHandlers
from rwmfs.read import OpenObject, Reader
from rwmfs.tree import (
    FIRST_HASHED_INODE,
    LOCKS,
    LOCKS_INODE,
    ROOT_INODE,
    DirEntry,
    GeneratedFile,
    InodeTree,
    Listing,
    LiveListing,
    LockFile,
    LocksDir,
    LocksDirs,
    LocksError,
    Symlink,
    UnknownInode,
)

log = logging.getLogger(__name__)


class Operations(WriteHandlers):
    """A read-only filesystem of one state or several, with a writable ``locks/`` in the root of each repository.

    Without ``access`` everything belongs to the user of this process.
    """

    supports_dot_lookup = False

    def __init__(self, tree: InodeTree, locks_dirs: LocksDirs, reader: Reader, access: Access | None = None) -> None:
        super().__init__(locks_dirs, Attributes(access or Access.own()))
        self.tree = tree
        self._contents = tree.contents
        self.dentry_invalidation = DentryInvalidation(tree)
        self._reader = reader

    # --- names and attributes ------------------------------------------------------------------------

    @handler
    async def lookup(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        if self._locks_dirs.directory(parent_inode):
            file = self._locks_dirs.find(name, parent_inode)
            self._locks_dirs.add_lookup(file)
            return self._attributes.lock_file(file)
        directory = self._directory(parent_inode)
        if name == LOCKS.encode() and self._has_locks(directory):
            locks = self._locks_dirs.directory_in(directory)
            self._locks_dirs.add_lookup(locks)
            return self._attributes.locks_dir(locks)
        try:
            entry = self.tree.find(directory, name.decode())
        except UnicodeDecodeError:
            entry = None
        if entry is None:
            return negative_entry(self._timeout(directory))
        inode = self.tree.add_lookup(directory, entry).inode
        self.dentry_invalidation.in_background()
        return self._attributes_of(inode, directory, entry)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, nlookup in inode_list:
            try:
                if inode >= FIRST_HASHED_INODE:
                    self.tree.forget(inode, nlookup)
                elif inode >= LOCKS_INODE:
                    self._locks_dirs.forget(inode, nlookup)
            except (UnknownInode, LocksError):
                log.exception("forget of an unknown inode")

    @handler
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        if locks := self._locks_dirs.directory(inode):
            return self._attributes.locks_dir(locks)
        if self._is_lock_file(inode):
            return self._attributes.lock_file(self._locks_dirs.file(inode))
        node = self.tree.node(inode)
        if node.directory is not None:
            return self._attributes.directory(inode, self._directory_time(node.directory), self._timeout(node.parent))
        return self._attributes_of(inode, node.parent, self.tree.dir_entry(node))

    @handler
    async def readlink(self, inode: int, ctx: pyfuse3.RequestContext) -> bytes:
        entry = self.tree.dir_entry(self.tree.node(inode))
        if not isinstance(entry, Symlink):
            raise pyfuse3.FUSEError(errno.EINVAL)
        return entry.target.encode()

    @handler
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        unit = 4096
        free = (self._locks_dirs.max_bytes - self._locks_dirs.used_bytes) // unit
        objects, size = self._contents.totals()
        answer = pyfuse3.StatvfsData()
        answer.f_bsize = answer.f_frsize = unit
        answer.f_blocks = -(-size // unit) + self._locks_dirs.max_bytes // unit
        answer.f_bfree = answer.f_bavail = free
        answer.f_files = objects + self._locks_dirs.max_files
        answer.f_ffree = answer.f_favail = self._locks_dirs.max_files - len(self._locks_dirs)
        answer.f_namemax = 255
        return answer

    @handler
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        if not name.startswith(b"user."):  # EOPNOTSUPP stops ls -l from asking for ACLs and labels of every file
            raise pyfuse3.FUSEError(errno.EOPNOTSUPP)
        value = self._xattrs(inode).get(name)
        if value is None:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return value

    @handler
    async def listxattr(self, inode: int, ctx: pyfuse3.RequestContext) -> Sequence[bytes]:
        return list(self._xattrs(inode))

    def _xattrs(self, inode: int) -> dict[bytes, bytes]:
        facts: dict[str, str] = {}
        if inode == ROOT_INODE or inode >= FIRST_HASHED_INODE:
            node = self.tree.node(inode)
            if node.directory is None:
                if entry := self.tree.state_entry(node):
                    facts = {"version_id": entry.version_id, "etag": entry.etag}
            elif self._contents.is_state_root(node.directory) and (info := self._contents.state_of(node.directory)):
                facts = self._contents.state_xattrs(info)
        return {f"user.rwm.{name}".encode(): value.encode() for name, value in facts.items()}

    # --- files ---------------------------------------------------------------------------------------

    @handler
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        if self._is_lock_file(inode):
            file = self._locks_dirs.file(inode)
            if flags & os.O_TRUNC:
                self._locks_dirs.truncate(file, 0)
            return self._open_lock_file(file)
        if flags & (os.O_ACCMODE | os.O_TRUNC) != os.O_RDONLY:
            raise pyfuse3.FUSEError(errno.EROFS)
        node = self.tree.node(inode)
        entry = self.tree.dir_entry(node)
        if isinstance(entry, GeneratedFile):
            return pyfuse3.FileInfo(fh=self._new_handle(entry.read()), direct_io=True, keep_cache=False)
        if isinstance(entry, Symlink) or entry.entry is None:
            raise pyfuse3.FUSEError(errno.EINVAL)
        opened = self._reader.open(entry.entry, self._contents.state_of(node.parent), inode)
        return pyfuse3.FileInfo(fh=self._new_handle(opened), keep_cache=opened.keep_cache)

    @handler
    async def read(self, fh: int, off: int, size: int) -> bytes:
        opened = self._handles[fh]
        if isinstance(opened, LockFile):
            return self._locks_dirs.read(opened, off, size)
        if isinstance(opened, bytes):
            return opened[off : off + size]
        assert isinstance(opened, OpenObject)
        # pyfuse3 accepts any buffer; a memoryview saves a copy.
        return await self._reader.read(opened, off, size)  # type: ignore[return-value]

    @handler
    async def release(self, fh: int) -> None:
        opened = self._handles.pop(fh)
        if isinstance(opened, LockFile):
            self._locks_dirs.release(opened)
        elif isinstance(opened, OpenObject):
            self._reader.close(opened)

    # --- directories ---------------------------------------------------------------------------------

    @handler
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        await self.dentry_invalidation.before_listing()
        if locks := self._locks_dirs.directory(inode):
            return self._new_handle(locks)
        directory = self._directory(inode)
        if self._contents.state_of(directory) is None:
            return self._new_handle(LiveListing(self._contents, directory))
        return self._new_handle(Listing(self._contents, directory))

    @handler
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        opened = self._handles[fh]
        if isinstance(opened, LocksDir):
            self._list_locks(opened, start_id, token)
        elif isinstance(opened, Listing | LiveListing):
            self._list(opened, start_id, token)

    def _list(self, listing: Listing | LiveListing, position: int, token: pyfuse3.ReaddirToken) -> None:
        """Reply with entries from a position on. In the root of a state or repository the first one is ``locks``."""
        if position < listing.first:
            position = listing.first
            locks = self._locks_dirs.directory_in(listing.directory)
            self._locks_dirs.add_lookup(locks)
            if not pyfuse3.readdir_reply(token, LOCKS.encode(), self._attributes.locks_dir(locks), position):
                self._locks_dirs.forget(locks.inode, 1)
                return
        self.dentry_invalidation.during_listing()
        for next_position, entry in listing.read(position):
            node = self.tree.add_lookup(listing.directory, entry)
            attributes = self._attributes_of(node.inode, listing.directory, entry)
            if not pyfuse3.readdir_reply(token, entry.name.encode(), attributes, next_position):
                self.tree.forget(node.inode, 1)
                return

    def _list_locks(self, locks: LocksDir, position: int, token: pyfuse3.ReaddirToken) -> None:
        """Reply with files. A position is the inode of the file before it, so changes meanwhile do not shift others."""
        for name, file in self._locks_dirs.list(position, locks.inode):
            if not pyfuse3.readdir_reply(token, name, self._attributes.lock_file(file), file.inode):
                return
            self._locks_dirs.add_lookup(file)

    @handler
    async def releasedir(self, fh: int) -> None:
        del self._handles[fh]

    # --- helpers -------------------------------------------------------------------------------------

    def _directory(self, inode: int) -> int:
        directory = self.tree.node(inode).directory if inode == ROOT_INODE or inode >= FIRST_HASHED_INODE else None
        if directory is None:
            raise pyfuse3.FUSEError(errno.ENOTDIR)
        return directory

    def _has_locks(self, directory: int) -> bool:
        """Whether ``locks`` is in memory there. One in use remains reachable when its state has been forgotten."""
        return self._locks_dirs.is_used_in(directory) or self._contents.has_locks(directory)

    def _attributes_of(self, inode: int, parent: int, entry: DirEntry) -> pyfuse3.EntryAttributes:
        """Attributes of an entry in a directory."""
        below = entry.directory if isinstance(entry, TreeNode) else None
        time = 0 if below is None else self._directory_time(below)
        return self._attributes.entry(inode, entry, time, self._timeout(parent))

    def _timeout(self, directory: int) -> int:
        """Seconds that the kernel may cache names in a directory, and their attributes."""
        return LIVE_TIMEOUT if self._contents.state_of(directory) is None else IMMUTABLE_TIMEOUT

    def _directory_time(self, directory: int) -> int:
        """Milliseconds: the capture of the directory's state; above the states, of the newest state."""
        info = self._contents.state_of(directory) or self._contents.newest_state()
        return info.captured_at if info else 0
