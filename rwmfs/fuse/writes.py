"""The FUSE handlers that would change something. In ``locks/`` they do; everywhere else they refuse."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

import pyfuse3

from rwmfs.fuse.attributes import Attributes
from rwmfs.fuse.errno_mapping import Handlers, handler
from rwmfs.read import OpenObject
from rwmfs.tree import HASHED, SCRATCH_INODE, Listing, LiveListing, Scratch, ScratchDirectory, ScratchFile

Opened = OpenObject | ScratchFile | Listing | LiveListing | ScratchDirectory | bytes
"""What a handle stands for; bytes are all of a file that was made when it was opened."""


class Changes(Handlers):
    """Handlers over the scratch directories; ``_handles`` is what is open, by handle."""

    def __init__(self, scratch: Scratch, attributes: Attributes) -> None:
        super().__init__()
        self._scratch = scratch
        self._attributes = attributes
        self._handles: dict[int, Opened] = {}
        self._next_handle = 1

    @handler
    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        if not self._in_scratch(inode):
            raise pyfuse3.FUSEError(errno.EPERM if self._scratch.directory(inode) else errno.EROFS)
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

    @handler
    async def access(self, inode: int, mode: int, ctx: pyfuse3.RequestContext) -> bool:
        if mode & os.W_OK and not self._scratch.directory(inode) and not self._in_scratch(inode):
            raise pyfuse3.FUSEError(errno.EROFS)
        return True

    @handler
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        opened = self._handles[fh]
        if not isinstance(opened, ScratchFile):
            raise pyfuse3.FUSEError(errno.EROFS)
        return self._scratch.write(opened, off, buf)

    @handler
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: pyfuse3.RequestContext
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        self._must_be_locks(parent_inode)
        file = self._scratch.create(name, mode & ~ctx.umask, ctx.uid, parent_inode)
        self._scratch.hold(file)
        return self._open_scratch(file), self._attributes.scratch(file)

    @handler
    async def flush(self, fh: int) -> None:
        """Called at each close(2): everything is where it belongs already."""

    @handler
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Memory is all there is."""

    @handler
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Memory is all there is."""

    @handler
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        self._must_be_locks(parent_inode)
        self._scratch.unlink(name, parent_inode)

    @handler
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
        if parent_inode_old != parent_inode_new:
            raise pyfuse3.FUSEError(errno.EXDEV)
        self._scratch.rename(name_old, name_new, parent_inode_old, replace=not flags)

    @handler
    async def _refuse_name(self, *args: Any, **kwargs: Any) -> Any:
        """There are only files in ``locks/``, and no new names anywhere else. The parent comes first."""
        raise pyfuse3.FUSEError(errno.EPERM if self._scratch.directory(args[0]) else errno.EROFS)

    mkdir = mknod = symlink = rmdir = _refuse_name

    async def link(self, *args: Any, **kwargs: Any) -> Any:
        """The inode comes first, then the parent."""
        await self._refuse_name(*args[1:])

    @handler
    async def setxattr(self, *args: Any, **kwargs: Any) -> Any:
        raise pyfuse3.FUSEError(errno.ENOTSUP if SCRATCH_INODE <= args[0] < HASHED else errno.EROFS)

    removexattr = setxattr

    # --- helpers -------------------------------------------------------------------------------------

    def _in_scratch(self, inode: int) -> bool:
        """Whether it is the number of a file there."""
        return SCRATCH_INODE < inode < HASHED and self._scratch.directory(inode) is None

    def _must_be_locks(self, inode: int) -> None:
        if self._scratch.directory(inode) is None:
            raise pyfuse3.FUSEError(errno.EROFS)

    def _handle(self, opened: Opened) -> int:
        handle = self._next_handle
        self._next_handle += 1
        self._handles[handle] = opened
        return handle

    def _open_scratch(self, file: ScratchFile) -> pyfuse3.FileInfo:
        self._scratch.open(file)
        return pyfuse3.FileInfo(fh=self._handle(file), keep_cache=False)
