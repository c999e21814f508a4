"""The adapter between FUSE and the rest: inodes, handles and errno. No decision about content is made here.

Handlers run as trio tasks, many at a time. Only ``read`` waits (for S3), and ``opendir`` before it begins; every other
handler runs without an await from its start to its end, so it is atomic, and nothing here needs a lock. What is shown
is asked in the trio thread itself: an index answers within microseconds.

Names are bytes towards the kernel and str inside. A name that is not UTF-8 is in no state, so it does not exist.

**Errors** become errnos in ``rwmfs.fuse.errno_mapping``. The handlers that would change something are in
``rwmfs.fuse.writes``.

**Times to live.** A state never changes, so the kernel may keep what it was told, absence included, for ever. Above
the states names come and go: there it keeps things for a second. ``locks/`` changes, so there it keeps nothing.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence

import pyfuse3

from rwm.model import TreeNode
from rwmfs.fuse.access import Access
from rwmfs.fuse.attributes import FOREVER, LIVE, Attributes, absent
from rwmfs.fuse.errno_mapping import handler
from rwmfs.fuse.invalidation import DentryInvalidation
from rwmfs.fuse.writes import Changes
from rwmfs.read import OpenObject, Reader
from rwmfs.tree import (
    HASHED,
    LOCKS,
    ROOT_INODE,
    Found,
    InodeTree,
    Link,
    Listing,
    LiveListing,
    Scratch,
    ScratchDirectory,
    ScratchError,
    ScratchFile,
    Text,
    UnknownInode,
)

log = logging.getLogger(__name__)


class Operations(Changes):
    """One state or several, read-only, with a scratch directory in each.

    Without ``access`` all is the user's of this process.
    """

    supports_dot_lookup = False

    def __init__(self, tree: InodeTree, scratch: Scratch, reader: Reader, access: Access | None = None) -> None:
        super().__init__(scratch, Attributes(access or Access.own()))
        self.tree = tree
        self._shown = tree.shown
        self.letting_go = DentryInvalidation(tree)
        self._reader = reader
        self._locks = {self._shown.root: scratch.first}  # by the root of a state that they are in

    # --- names and attributes ------------------------------------------------------------------------

    @handler
    async def lookup(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        if self._scratch.directory(parent_inode):
            file = self._scratch.find(name, parent_inode)
            self._scratch.hold(file)
            return self._attributes.scratch(file)
        directory = self._directory(parent_inode)
        if name == LOCKS.encode() and self._shown.is_root(directory):
            return self._attributes.locks(self._locks_in(directory))
        try:
            found = self.tree.find(directory, name.decode())
        except UnicodeDecodeError:
            found = None
        if found is None:
            return absent(self._lifetime(directory))
        number = self.tree.hold(directory, found).number
        self.letting_go.soon()
        return self._attributes_of(number, directory, found)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, lookups in inode_list:
            try:
                if inode >= HASHED:
                    self.tree.forget(inode, lookups)
                elif self._in_scratch(inode):
                    self._scratch.forget(inode, lookups)
            except (UnknownInode, ScratchError):
                log.exception("the kernel forgets what it does not hold")

    @handler
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        if locks := self._scratch.directory(inode):
            return self._attributes.locks(locks)
        if self._in_scratch(inode):
            return self._attributes.scratch(self._scratch.file(inode))
        node = self.tree.node(inode)
        if node.directory is not None:
            return self._attributes.directory(inode, self._time(node.directory), self._lifetime(node.parent))
        return self._attributes_of(inode, node.parent, self.tree.found(node))

    @handler
    async def readlink(self, inode: int, ctx: pyfuse3.RequestContext) -> bytes:
        found = self.tree.found(self.tree.node(inode))
        if not isinstance(found, Link):
            raise pyfuse3.FUSEError(errno.EINVAL)
        return found.target.encode()

    @handler
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        unit = 4096
        free = (self._scratch.max_bytes - self._scratch.used) // unit
        newest = self._shown.newest()
        size, objects = (newest.bytes, newest.objects) if newest else (0, 0)
        answer = pyfuse3.StatvfsData()
        answer.f_bsize = answer.f_frsize = unit
        answer.f_blocks = -(-size // unit) + self._scratch.max_bytes // unit
        answer.f_bfree = answer.f_bavail = free
        answer.f_files = objects + self._scratch.max_files
        answer.f_ffree = answer.f_favail = self._scratch.max_files - len(self._scratch)
        answer.f_namemax = 255
        return answer

    @handler
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        if not name.startswith(b"user."):  # ls -l asks for such of every file, unless it hears that there are none
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
        if inode == ROOT_INODE or inode >= HASHED:
            node = self.tree.node(inode)
            if node.directory is None:
                if entry := self.tree.entry(node):
                    facts = {"version_id": entry.version_id, "etag": entry.etag}
            elif self._shown.is_root(node.directory) and (info := self._shown.state(node.directory)):
                facts = self._shown.facts(info)
        return {f"user.rwm.{name}".encode(): value.encode() for name, value in facts.items()}

    # --- files ---------------------------------------------------------------------------------------

    @handler
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        if self._in_scratch(inode):
            file = self._scratch.file(inode)
            if flags & os.O_TRUNC:
                self._scratch.resize(file, 0)
            return self._open_scratch(file)
        if flags & (os.O_ACCMODE | os.O_TRUNC) != os.O_RDONLY:
            raise pyfuse3.FUSEError(errno.EROFS)
        node = self.tree.node(inode)
        found = self.tree.found(node)
        if isinstance(found, Text):
            return pyfuse3.FileInfo(fh=self._handle(found.read()), direct_io=True, keep_cache=False)
        if isinstance(found, Link) or found.entry is None:
            raise pyfuse3.FUSEError(errno.EINVAL)
        opened = self._reader.open(found.entry, self._shown.state(node.parent), inode)
        return pyfuse3.FileInfo(fh=self._handle(opened), keep_cache=opened.keep)

    @handler
    async def read(self, fh: int, off: int, size: int) -> bytes:
        opened = self._handles[fh]
        if isinstance(opened, ScratchFile):
            return self._scratch.read(opened, off, size)
        if isinstance(opened, bytes):
            return opened[off : off + size]
        assert isinstance(opened, OpenObject)
        # pyfuse3 takes any buffer, and a view saves a copy.
        return await self._reader.read(opened, off, size)  # type: ignore[return-value]

    @handler
    async def release(self, fh: int) -> None:
        opened = self._handles.pop(fh)
        if isinstance(opened, ScratchFile):
            self._scratch.release(opened)
        elif isinstance(opened, OpenObject):
            self._reader.close(opened)

    # --- directories ---------------------------------------------------------------------------------

    @handler
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        await self.letting_go.before_listing()
        if locks := self._scratch.directory(inode):
            return self._handle(locks)
        directory = self._directory(inode)
        if self._shown.state(directory) is None:
            return self._handle(LiveListing(self.tree, directory))
        return self._handle(Listing(self.tree, directory, first=int(self._shown.is_root(directory))))

    @handler
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        opened = self._handles[fh]
        if isinstance(opened, ScratchDirectory):
            self._list_locks(opened, start_id, token)
        elif isinstance(opened, Listing | LiveListing):
            self._list(opened, start_id, token)

    def _list(self, listing: Listing | LiveListing, position: int, token: pyfuse3.ReaddirToken) -> None:
        """At the root of a state, the first position belongs to ``locks``."""
        if position < listing.first:
            position = listing.first
            locks = self._attributes.locks(self._locks_in(listing.directory))
            if not pyfuse3.readdir_reply(token, LOCKS.encode(), locks, position):
                return
        self.letting_go.during_listing()
        for following, found in listing.read(position):
            node = self.tree.hold(listing.directory, found)
            attributes = self._attributes_of(node.number, listing.directory, found)
            if not pyfuse3.readdir_reply(token, found.name.encode(), attributes, following):
                self.tree.forget(node.number, 1)
                return

    def _list_locks(self, locks: ScratchDirectory, position: int, token: pyfuse3.ReaddirToken) -> None:
        """A position is the number of the file before it: files that come and go do not move the others."""
        for name, file in self._scratch.list(position, locks.inode):
            if not pyfuse3.readdir_reply(token, name, self._attributes.scratch(file), file.inode):
                return
            self._scratch.hold(file)

    @handler
    async def releasedir(self, fh: int) -> None:
        del self._handles[fh]

    # --- helpers -------------------------------------------------------------------------------------

    def _directory(self, inode: int) -> int:
        directory = self.tree.node(inode).directory if inode == ROOT_INODE or inode >= HASHED else None
        if directory is None:
            raise pyfuse3.FUSEError(errno.ENOTDIR)
        return directory

    def _locks_in(self, directory: int) -> ScratchDirectory:
        """The scratch directory in the root of a state, made when it is first asked for."""
        locks = self._locks.get(directory)
        if locks is None:
            locks = self._locks[directory] = self._scratch.make_directory()
        return locks

    def _attributes_of(self, inode: int, parent: int, found: Found) -> pyfuse3.EntryAttributes:
        """Attributes of what was found in a directory."""
        below = found.directory if isinstance(found, TreeNode) else None
        time = 0 if below is None else self._time(below)
        return self._attributes.of(inode, found, time, self._lifetime(parent))

    def _lifetime(self, directory: int) -> int:
        """Seconds that the kernel may believe what it is told about the names in a directory."""
        return LIVE if self._shown.state(directory) is None else FOREVER

    def _time(self, directory: int) -> int:
        """When its state was captured, above the states the newest: milliseconds."""
        info = self._shown.state(directory) or self._shown.newest()
        return info.captured_at if info else 0
