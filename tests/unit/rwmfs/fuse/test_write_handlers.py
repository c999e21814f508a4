"""The FUSE handlers that write, awaited directly: refused outside ``locks/``, POSIX within."""

from __future__ import annotations

import errno
import os
import stat
from types import SimpleNamespace
from typing import Any

import pyfuse3

from rwmfs.tree.inodes import ROOT_INODE
from rwmfs.tree.locks_dir import LOCKS_INODE
from tests.unit.rwmfs.fuse.mounted import CONTEXT, Mounted, mounted, refused


@mounted
async def test_writes_outside_locks_are_erofs(fs: Mounted) -> None:
    config, data, nothing = await fs.inode("config"), await fs.inode("data"), pyfuse3.EntryAttributes()
    fields: Any = SimpleNamespace()
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        await refused(errno.EROFS, fs.ops.open(config, flags, CONTEXT))
    opened = await fs.ops.open(config, os.O_RDONLY, CONTEXT)
    await refused(errno.EROFS, fs.ops.write(opened.fh, 0, b"x"))
    for inode in (config, data, ROOT_INODE):
        await refused(errno.EROFS, fs.ops.setattr(inode, nothing, fields, None, CONTEXT))
        await refused(errno.EROFS, fs.ops.setxattr(inode, b"user.x", b"y", CONTEXT))
        await refused(errno.EROFS, fs.ops.removexattr(inode, b"user.rwm.etag", CONTEXT))
        await refused(errno.EROFS, fs.ops.access(inode, os.W_OK, CONTEXT))
        assert await fs.ops.access(inode, os.R_OK, CONTEXT)
    for parent in (ROOT_INODE, data):
        await refused(errno.EROFS, fs.ops.create(parent, b"x", 0o600, os.O_WRONLY, CONTEXT))
        await refused(errno.EROFS, fs.ops.mkdir(parent, b"x", 0o700, CONTEXT))
        await refused(errno.EROFS, fs.ops.mknod(parent, b"x", 0o600, 0, CONTEXT))
        await refused(errno.EROFS, fs.ops.symlink(parent, b"x", b"y", CONTEXT))
        await refused(errno.EROFS, fs.ops.link(config, parent, b"x", CONTEXT))
        await refused(errno.EROFS, fs.ops.unlink(parent, b"config", CONTEXT))
        await refused(errno.EROFS, fs.ops.rmdir(parent, b"data", CONTEXT))
        await refused(errno.EROFS, fs.ops.rename(parent, b"config", parent, b"x", 0, CONTEXT))
        await refused(errno.EROFS, fs.ops.rename(parent, b"config", LOCKS_INODE, b"x", 0, CONTEXT))
    assert fs.bucket.requests == []


def fields(**set_to: bool) -> Any:
    names = ("uid", "gid", "size", "mode", "atime", "mtime", "ctime")
    return SimpleNamespace(**{f"update_{name}": set_to.get(name, False) for name in names})


@mounted
async def test_a_lock_file_as_restic_uses_it(fs: Mounted) -> None:
    opened, attributes = await fs.ops.create(LOCKS_INODE, b"abc-tmp-1", 0o666, os.O_RDWR, CONTEXT)
    inode = attributes.st_ino
    assert attributes.st_mode == stat.S_IFREG | 0o644
    assert not opened.keep_cache
    assert await fs.ops.write(opened.fh, 0, b"lock") == 4
    await fs.ops.fsync(opened.fh, datasync=True)
    await fs.ops.fsyncdir(await fs.ops.opendir(LOCKS_INODE, CONTEXT), datasync=True)
    await fs.ops.flush(opened.fh)
    await fs.ops.release(opened.fh)
    await fs.ops.rename(LOCKS_INODE, b"abc-tmp-1", LOCKS_INODE, b"abc", 0, CONTEXT)
    wish = pyfuse3.EntryAttributes()
    wish.st_mode, wish.st_mtime_ns, wish.st_atime_ns = 0o400, 5_000_000_000, 4_000_000_000
    after = await fs.ops.setattr(inode, wish, fields(mode=True, mtime=True, atime=True), None, CONTEXT)
    assert (after.st_mode, after.st_mtime_ns, after.st_atime_ns) == (stat.S_IFREG | 0o400, 5 * 10**9, 4 * 10**9)
    assert (after.entry_timeout, after.attr_timeout) == (0, 0)
    assert (await fs.lookup("locks/abc")).st_size == 4
    again = await fs.ops.open(inode, os.O_RDONLY, CONTEXT)
    assert await fs.ops.read(again.fh, 0, 100) == b"lock"
    await fs.ops.release(again.fh)
    await fs.ops.unlink(LOCKS_INODE, b"abc", CONTEXT)
    await refused(errno.ENOENT, fs.ops.lookup(LOCKS_INODE, b"abc", CONTEXT))
    assert (await fs.ops.getattr(inode, CONTEXT)).st_nlink == 0, "the kernel has not forgotten it"
    await fs.ops.forget([(inode, 2)])
    assert len(fs.locks_dirs) == 0


@mounted
async def test_errors_in_locks(fs: Mounted) -> None:
    opened, attributes = await fs.ops.create(LOCKS_INODE, b"a", 0o600, os.O_RDWR, CONTEXT)
    await refused(errno.EEXIST, fs.ops.create(LOCKS_INODE, b"a", 0o600, os.O_RDWR, CONTEXT))
    await refused(errno.ENOSPC, fs.ops.write(opened.fh, 100_000, b"x"))
    wish = pyfuse3.EntryAttributes()
    wish.st_size, wish.st_uid = 3, 4711
    assert (await fs.ops.setattr(attributes.st_ino, wish, fields(size=True), None, CONTEXT)).st_size == 3
    await refused(errno.EPERM, fs.ops.setattr(attributes.st_ino, wish, fields(uid=True), None, CONTEXT))
    await refused(errno.EPERM, fs.ops.setattr(LOCKS_INODE, wish, fields(mode=True), None, CONTEXT))
    await fs.ops.open(attributes.st_ino, os.O_WRONLY | os.O_TRUNC, CONTEXT)
    assert (await fs.ops.getattr(attributes.st_ino, CONTEXT)).st_size == 0
    for call in (
        fs.ops.mkdir(LOCKS_INODE, b"d", 0o700, CONTEXT),
        fs.ops.symlink(LOCKS_INODE, b"l", b"t", CONTEXT),
        fs.ops.link(attributes.st_ino, LOCKS_INODE, b"l", CONTEXT),
    ):
        await refused(errno.EPERM, call)
    await refused(errno.ENOTSUP, fs.ops.setxattr(attributes.st_ino, b"user.x", b"y", CONTEXT))
    await refused(errno.EROFS, fs.ops.rename(LOCKS_INODE, b"a", ROOT_INODE, b"a", 0, CONTEXT))
    exchange = pyfuse3.RENAME_EXCHANGE
    await refused(errno.EINVAL, fs.ops.rename(LOCKS_INODE, b"a", LOCKS_INODE, b"b", exchange, CONTEXT))
    await fs.ops.create(LOCKS_INODE, b"b", 0o600, os.O_RDWR, CONTEXT)
    keep = pyfuse3.RENAME_NOREPLACE
    await refused(errno.EEXIST, fs.ops.rename(LOCKS_INODE, b"a", LOCKS_INODE, b"b", keep, CONTEXT))
    assert await fs.ops.access(LOCKS_INODE, os.W_OK, CONTEXT)
    assert await fs.ops.access(attributes.st_ino, os.W_OK, CONTEXT)
