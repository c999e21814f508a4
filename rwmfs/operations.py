"""The adapter between FUSE and the rest: inodes, handles and errno. No decision about content is made here.

Handlers run as trio tasks, many at a time. Only ``read`` waits (for S3); every other handler runs without an await
from its start to its end, so it is atomic, and nothing here needs a lock. The state's tree is asked in the trio thread
itself: an index answers within microseconds.

Names are bytes towards the kernel and str inside. A name that is not UTF-8 is in no state, so it does not exist.

**Errors.** What does not exist is ENOENT, writing outside ``locks/`` is EROFS, everything that goes wrong with S3 is
EIO: restic takes ENOENT and EACCES for an answer and never asks again. An exception that nobody foresaw is EIO too and
leaves a traceback in the log; were it to leave a handler, it would end the mount.

**Times to live.** The state never changes, so the kernel may keep what it was told, absence included, for ever.
``locks/`` changes, so there it keeps nothing.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import stat
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import pyfuse3

from rwm.errors import RwmError, S3Error
from rwmfs.access import Access
from rwmfs.attributes import Attributes, absent
from rwmfs.reader import OpenObject, Reader
from rwmfs.scratch import SCRATCH_INODE, Scratch, ScratchError, ScratchFile
from rwmfs.tree import HASHED, ROOT_INODE, InodeTree, Listing, UnknownInode

log = logging.getLogger(__name__)

LOCKS = "locks"
"""The name, at the root, of the directory that restic may write to."""

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Handler = Callable[Concatenate["Operations", Arguments], Coroutine[Any, Any, Result]]


def _handler(method: Handler[Arguments, Result]) -> Handler[Arguments, Result]:
    """Give every error of a handler its errno."""

    @functools.wraps(method)
    async def handler(self: Operations, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return await method(self, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except ScratchError as error:
            code = error.errno
        except UnknownInode:
            code = errno.ESTALE
        except S3Error:  # the reader has logged it
            code = errno.EIO
        except RwmError as error:  # the index has lost the state, or is damaged
            log.error("%s failed: %s", method.__name__, error.message)
            code = errno.EIO
        except Exception:
            log.exception("%s failed", method.__name__)
            code = errno.EIO
        raise pyfuse3.FUSEError(code)

    return handler


class Operations(pyfuse3.Operations):
    """A state, read-only, with a scratch directory in it. Without ``access`` all is the user's of this process."""

    supports_dot_lookup = False

    def __init__(self, tree: InodeTree, scratch: Scratch, reader: Reader, access: Access | None = None) -> None:
        super().__init__()
        self._tree = tree
        self._scratch = scratch
        self._reader = reader
        self._info = tree.state.info
        self._handles: dict[int, OpenObject | ScratchFile | Listing | Literal["locks"]] = {}
        self._next_handle = 1
        self._attributes = Attributes(access or Access.own(), self._info.captured_at)

    # --- names and attributes ------------------------------------------------------------------------

    @_handler
    async def lookup(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        if parent_inode == SCRATCH_INODE:
            file = self._scratch.find(name)
            self._scratch.hold(file)
            return self._attributes.scratch(file)
        if parent_inode == ROOT_INODE and name == LOCKS.encode():
            return self._attributes.locks(self._scratch)
        directory = self._directory(parent_inode)
        try:
            found = self._tree.find(directory, name.decode())
        except UnicodeDecodeError:
            found = None
        if found is None:
            return absent()
        return self._attributes.of(self._tree.hold(directory, found).number, found.entry)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, lookups in inode_list:
            try:
                if inode >= HASHED:
                    self._tree.forget(inode, lookups)
                elif inode > SCRATCH_INODE:
                    self._scratch.forget(inode, lookups)
            except (UnknownInode, ScratchError):
                log.exception("the kernel forgets what it does not hold")

    @_handler
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        return self._getattr(inode)

    def _getattr(self, inode: int) -> pyfuse3.EntryAttributes:
        if inode == SCRATCH_INODE:
            return self._attributes.locks(self._scratch)
        if self._in_scratch(inode):
            return self._attributes.scratch(self._scratch.file(inode))
        node = self._tree.node(inode)
        return self._attributes.of(inode, None if node.directory is not None else self._tree.entry(node))

    @_handler
    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        if not self._in_scratch(inode):
            raise pyfuse3.FUSEError(errno.EPERM if inode == SCRATCH_INODE else errno.EROFS)
        file = self._scratch.file(inode)
        gid = self._attributes.access.gid
        if (fields.update_uid and attr.st_uid != file.uid) or (fields.update_gid and attr.st_gid != gid):
            raise pyfuse3.FUSEError(errno.EPERM)
        if fields.update_size:
            self._scratch.resize(file, attr.st_size)
        if fields.update_mode:
            file.mode = stat.S_IMODE(attr.st_mode)
        if fields.update_atime:
            file.atime = attr.st_atime_ns
        if fields.update_mtime:
            file.mtime = attr.st_mtime_ns
        return self._attributes.scratch(file)

    @_handler
    async def access(self, inode: int, mode: int, ctx: pyfuse3.RequestContext) -> bool:
        if mode & os.W_OK and inode != SCRATCH_INODE and not self._in_scratch(inode):
            raise pyfuse3.FUSEError(errno.EROFS)
        return True

    @_handler
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        unit = 4096
        free = (self._scratch.max_bytes - self._scratch.used) // unit
        answer = pyfuse3.StatvfsData()
        answer.f_bsize = answer.f_frsize = unit
        answer.f_blocks = -(-self._info.bytes // unit) + self._scratch.max_bytes // unit
        answer.f_bfree = answer.f_bavail = free
        answer.f_files = self._info.objects + self._scratch.max_files
        answer.f_ffree = answer.f_favail = self._scratch.max_files - len(self._scratch)
        answer.f_namemax = 255
        return answer

    @_handler
    async def getxattr(self, inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> bytes:
        # ls -l asks for names of others, three times for each file.
        value = self._xattrs(inode).get(name) if name.startswith(b"user.rwm.") else None
        if value is None:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return value

    @_handler
    async def listxattr(self, inode: int, ctx: pyfuse3.RequestContext) -> Sequence[bytes]:
        return list(self._xattrs(inode))

    def _xattrs(self, inode: int) -> dict[bytes, bytes]:
        if inode < HASHED:
            return {}
        node = self._tree.node(inode)
        if node.directory is not None:
            return {}
        entry = self._tree.entry(node)
        return {b"user.rwm.version_id": entry.version_id.encode(), b"user.rwm.etag": entry.etag.encode()}

    # --- files ---------------------------------------------------------------------------------------

    @_handler
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        if self._in_scratch(inode):
            file = self._scratch.file(inode)
            if flags & os.O_TRUNC:
                self._scratch.resize(file, 0)
            return self._open_scratch(file)
        if flags & (os.O_ACCMODE | os.O_TRUNC) != os.O_RDONLY:
            raise pyfuse3.FUSEError(errno.EROFS)
        entry = self._tree.entry(self._tree.node(inode))
        opened = self._reader.open(self._tree.state, entry)
        return pyfuse3.FileInfo(fh=self._handle(opened), keep_cache=True)

    @_handler
    async def read(self, fh: int, off: int, size: int) -> bytes:
        opened = self._handles[fh]
        if isinstance(opened, ScratchFile):
            return self._scratch.read(opened, off, size)
        assert isinstance(opened, OpenObject)
        # pyfuse3 takes any buffer, and a view saves a copy.
        return await self._reader.read(opened, off, size)  # type: ignore[return-value]

    @_handler
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        opened = self._handles[fh]
        if not isinstance(opened, ScratchFile):
            raise pyfuse3.FUSEError(errno.EROFS)
        return self._scratch.write(opened, off, buf)

    @_handler
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: pyfuse3.RequestContext
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        self._must_be_locks(parent_inode)
        file = self._scratch.create(name, mode & ~ctx.umask, ctx.uid)
        self._scratch.hold(file)
        return self._open_scratch(file), self._attributes.scratch(file)

    @_handler
    async def flush(self, fh: int) -> None:
        """Called at each close(2): everything is where it belongs already."""

    @_handler
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Memory is all there is."""

    @_handler
    async def release(self, fh: int) -> None:
        opened = self._handles.pop(fh)
        if isinstance(opened, ScratchFile):
            self._scratch.release(opened)
        elif isinstance(opened, OpenObject):
            self._reader.close(opened)

    # --- directories ---------------------------------------------------------------------------------

    @_handler
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        if inode == SCRATCH_INODE:
            return self._handle("locks")
        return self._handle(Listing(self._tree, self._directory(inode), first=1 if inode == ROOT_INODE else 0))

    @_handler
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        opened = self._handles[fh]
        if opened == "locks":
            self._list_locks(start_id, token)
        elif isinstance(opened, Listing):
            self._list(opened, start_id, token)

    def _list(self, listing: Listing, position: int, token: pyfuse3.ReaddirToken) -> None:
        """At the root, the first position belongs to ``locks``."""
        if position < listing.first:
            position = listing.first
            if not pyfuse3.readdir_reply(token, LOCKS.encode(), self._attributes.locks(self._scratch), position):
                return
        for following, found in listing.read(position):
            node = self._tree.hold(listing.directory, found)
            attributes = self._attributes.of(node.number, found.entry)
            if not pyfuse3.readdir_reply(token, found.name.encode(), attributes, following):
                self._tree.forget(node.number, 1)
                return

    def _list_locks(self, position: int, token: pyfuse3.ReaddirToken) -> None:
        """A position is the number of the file before it: files that come and go do not move the others."""
        for name, file in self._scratch.list(max(position, SCRATCH_INODE)):
            if not pyfuse3.readdir_reply(token, name, self._attributes.scratch(file), file.inode):
                return
            self._scratch.hold(file)

    @_handler
    async def releasedir(self, fh: int) -> None:
        del self._handles[fh]

    @_handler
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Memory is all there is."""

    # --- what changes names --------------------------------------------------------------------------

    @_handler
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        self._must_be_locks(parent_inode)
        self._scratch.unlink(name)

    @_handler
    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        self._must_be_locks(parent_inode_old)
        self._must_be_locks(parent_inode_new)
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        self._scratch.rename(name_old, name_new, replace=not flags)

    @_handler
    async def _refuse_name(self, *args: Any, **kwargs: Any) -> Any:
        """There are only files in ``locks/``, and no new names anywhere else. The parent comes first."""
        raise pyfuse3.FUSEError(errno.EPERM if args[0] == SCRATCH_INODE else errno.EROFS)

    mkdir = mknod = symlink = rmdir = _refuse_name

    async def link(self, *args: Any, **kwargs: Any) -> Any:
        """The inode comes first, then the parent."""
        await self._refuse_name(*args[1:])

    @_handler
    async def setxattr(self, *args: Any, **kwargs: Any) -> Any:
        raise pyfuse3.FUSEError(errno.ENOTSUP if SCRATCH_INODE <= args[0] < HASHED else errno.EROFS)

    removexattr = setxattr

    # --- helpers -------------------------------------------------------------------------------------

    def _directory(self, inode: int) -> int:
        directory = self._tree.node(inode).directory if inode == ROOT_INODE or inode >= HASHED else None
        if directory is None:
            raise pyfuse3.FUSEError(errno.ENOTDIR)
        return directory

    def _in_scratch(self, inode: int) -> bool:
        return SCRATCH_INODE < inode < HASHED

    def _must_be_locks(self, inode: int) -> None:
        if inode != SCRATCH_INODE:
            raise pyfuse3.FUSEError(errno.EROFS)

    def _handle(self, opened: OpenObject | ScratchFile | Listing | Literal["locks"]) -> int:
        handle = self._next_handle
        self._next_handle += 1
        self._handles[handle] = opened
        return handle

    def _open_scratch(self, file: ScratchFile) -> pyfuse3.FileInfo:
        self._scratch.open(file)
        return pyfuse3.FileInfo(fh=self._handle(file), keep_cache=False)
