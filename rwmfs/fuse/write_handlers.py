"""The FUSE handlers that modify something. They work in ``locks/`` and answer EROFS everywhere else."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

import pyfuse3

from rwmfs.fuse.attributes import Attributes
from rwmfs.fuse.errno_mapping import BaseHandlers, handler
from rwmfs.read import OpenObject
from rwmfs.tree import (
    FIRST_DIRECTORY_INODE,
    FIRST_HASHED_INODE,
    LOCKS_INODE,
    Listing,
    LiveListing,
    LockFile,
    LocksDir,
    LocksDirs,
)

OpenHandle = OpenObject | LockFile | Listing | LiveListing | LocksDir | bytes
"""What a file handle refers to; bytes are the content of a generated file."""


class WriteHandlers(BaseHandlers):
    """Handlers over the ``locks/`` directories. ``_handles`` has what is open, by file handle."""

    def __init__(self, locks_dirs: LocksDirs, attributes: Attributes) -> None:
        super().__init__()
        self._locks_dirs = locks_dirs
        self._attributes = attributes
        self._handles: dict[int, OpenHandle] = {}
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
        if not self._is_lock_file(inode):
            raise pyfuse3.FUSEError(errno.EPERM if self._locks_dirs.directory(inode) else errno.EROFS)
        file = self._locks_dirs.file(inode)
        gid = self._attributes.access.gid
        if (fields.update_uid and attr.st_uid != file.uid) or (fields.update_gid and attr.st_gid != gid):
            raise pyfuse3.FUSEError(errno.EPERM)
        if fields.update_size:
            self._locks_dirs.truncate(file, attr.st_size)
        if fields.update_mode:
            file.mode = stat.S_IMODE(attr.st_mode)
        if fields.update_atime:
            file.atime = attr.st_atime_ns
        if fields.update_mtime:
            file.mtime = attr.st_mtime_ns
        return self._attributes.lock_file(file)

    @handler
    async def access(self, inode: int, mode: int, ctx: pyfuse3.RequestContext) -> bool:
        if mode & os.W_OK and not self._locks_dirs.directory(inode) and not self._is_lock_file(inode):
            raise pyfuse3.FUSEError(errno.EROFS)
        return True

    @handler
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        opened = self._handles[fh]
        if not isinstance(opened, LockFile):
            raise pyfuse3.FUSEError(errno.EROFS)
        return self._locks_dirs.write(opened, off, buf)

    @handler
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: pyfuse3.RequestContext
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        self._require_locks_dir(parent_inode)
        file = self._locks_dirs.create(name, mode & ~ctx.umask, ctx.uid, parent_inode)
        self._locks_dirs.add_lookup(file)
        return self._open_lock_file(file), self._attributes.lock_file(file)

    @handler
    async def flush(self, fh: int) -> None:
        """Do nothing: writes are not buffered. Called at each close(2)."""

    @handler
    async def fsync(self, fh: int, datasync: bool) -> None:
        """Do nothing: ``locks/`` is only in memory."""

    @handler
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Do nothing: ``locks/`` is only in memory."""

    @handler
    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        self._require_locks_dir(parent_inode)
        self._locks_dirs.unlink(name, parent_inode)

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
        self._require_locks_dir(parent_inode_old)
        self._require_locks_dir(parent_inode_new)
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        if parent_inode_old != parent_inode_new:
            raise pyfuse3.FUSEError(errno.EXDEV)
        self._locks_dirs.rename(name_old, name_new, parent_inode_old, replace=not flags)

    @handler
    async def _refuse_to_create(self, *args: Any, **kwargs: Any) -> Any:
        """Answer EPERM in ``locks/``, which has files only, and EROFS elsewhere. The parent comes first."""
        raise pyfuse3.FUSEError(errno.EPERM if self._locks_dirs.directory(args[0]) else errno.EROFS)

    mkdir = mknod = symlink = rmdir = _refuse_to_create

    async def link(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse as ``mkdir`` does. The inode comes first, then the parent."""
        await self._refuse_to_create(*args[1:])

    @handler
    async def setxattr(self, *args: Any, **kwargs: Any) -> Any:
        raise pyfuse3.FUSEError(errno.ENOTSUP if LOCKS_INODE <= args[0] < FIRST_HASHED_INODE else errno.EROFS)

    removexattr = setxattr

    # --- helpers -------------------------------------------------------------------------------------

    def _is_lock_file(self, inode: int) -> bool:
        """Whether the inode belongs to a file in a ``locks/``, existing or not."""
        return LOCKS_INODE < inode < FIRST_DIRECTORY_INODE

    def _require_locks_dir(self, inode: int) -> None:
        """Raise EROFS unless the inode is a ``locks/`` directory."""
        if self._locks_dirs.directory(inode) is None:
            raise pyfuse3.FUSEError(errno.EROFS)

    def _new_handle(self, opened: OpenHandle) -> int:
        handle = self._next_handle
        self._next_handle += 1
        self._handles[handle] = opened
        return handle

    def _open_lock_file(self, file: LockFile) -> pyfuse3.FileInfo:
        self._locks_dirs.open(file)
        return pyfuse3.FileInfo(fh=self._new_handle(file), keep_cache=False)
