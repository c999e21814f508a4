"""The FUSE handlers, awaited directly: attributes, errno, lookup counts, locks."""

from __future__ import annotations

import errno
import functools
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio

from rwm.errors import AccessDenied, NotFound
from rwmfs.fuse.attributes import IMMUTABLE_TIMEOUT
from rwmfs.fuse.invalidation import DentryInvalidation
from rwmfs.fuse.operations import Operations
from rwmfs.tree.contents import SingleState
from rwmfs.tree.inodes import FIRST_HASHED_INODE, ROOT_INODE, InodeTree
from rwmfs.tree.locks_dir import LOCKS_INODE, LocksDirs
from tests.unit.fakes import STATE_ID, fake_reader, fake_state, version_of

CONTEXT: Any = SimpleNamespace(uid=0, gid=0, pid=1, umask=0o022)
FILES = {
    "config": b"configuration",
    "data/ab/abcd": b"x" * 300_000,
    "data/empty": b"",
    "locks/left-behind": b"never shown",
    "Привет мир/файл": b"!",
    "..": b"hidden",
}


class Mounted:
    """Operations over FILES, and shorthands for tests."""

    def __init__(self, nursery: trio.Nursery, files: dict[str, bytes]) -> None:
        state, self.bucket = fake_state(files)
        self.tree = InodeTree(SingleState(state, lambda info: "verified"))
        self.locks_dirs = LocksDirs(max_bytes=100_000, max_files=5)
        self.ops = Operations(self.tree, self.locks_dirs, fake_reader(self.bucket, nursery))

    async def lookup(self, path: str) -> pyfuse3.EntryAttributes:
        inode = ROOT_INODE
        attributes = await self.ops.getattr(inode, CONTEXT)
        for name in path.split("/"):
            attributes = await self.ops.lookup(inode, name.encode(), CONTEXT)
            inode = attributes.st_ino
        return attributes

    async def inode(self, path: str) -> int:
        return (await self.lookup(path)).st_ino


Test = Callable[[Mounted], Coroutine[Any, Any, None]]


def mounted(test: Test) -> Callable[[], None]:
    """Run a test with a Mounted of its own."""

    @functools.wraps(test)
    def run() -> None:
        async def main() -> None:
            async with trio.open_nursery() as nursery:
                await test(Mounted(nursery, FILES))

        trio.run(main)

    del run.__wrapped__  # or pytest would look for its argument
    return run


async def refused(code: int, call: Awaitable[object]) -> None:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await call
    assert errno.errorcode[caught.value.errno] == errno.errorcode[code]


@mounted
async def test_attributes_of_a_file(fs: Mounted) -> None:
    attributes = await fs.lookup("data/ab/abcd")
    assert attributes.st_mode == stat.S_IFREG | 0o444
    assert attributes.st_size == 300_000
    assert attributes.st_blksize == 4 << 20, "what programs that heed it read at once"
    assert attributes.st_mtime_ns == 1_700_000_000_000_000_000
    assert (attributes.st_uid, attributes.st_gid) == (os.getuid(), os.getgid())
    assert attributes.st_nlink == 1
    assert attributes.st_ino >= FIRST_HASHED_INODE
    assert attributes.entry_timeout == attributes.attr_timeout == IMMUTABLE_TIMEOUT
    again = await fs.ops.getattr(attributes.st_ino, CONTEXT)
    assert again.__getstate__() == attributes.__getstate__()


@mounted
async def test_attributes_of_directories(fs: Mounted) -> None:
    for path in ("data", "data/ab", "Привет мир"):
        assert (await fs.lookup(path)).st_mode == stat.S_IFDIR | 0o555
    root = await fs.ops.getattr(ROOT_INODE, CONTEXT)
    assert root.st_mode == stat.S_IFDIR | 0o555
    assert root.st_ino == ROOT_INODE
    locks = await fs.lookup("locks")
    assert locks.st_mode == stat.S_IFDIR | 0o700
    assert (locks.st_ino, locks.entry_timeout, locks.attr_timeout) == (LOCKS_INODE, 0, 0)


@mounted
async def test_what_does_not_exist(fs: Mounted) -> None:
    data = await fs.inode("data")
    for parent, name in [(ROOT_INODE, b"no"), (data, b"no"), (ROOT_INODE, b"\xff\xfe"), (ROOT_INODE, b"..")]:
        absent = await fs.ops.lookup(parent, name, CONTEXT)
        assert absent.st_ino == 0, "the kernel makes ENOENT of it, and remembers"
        assert absent.entry_timeout == IMMUTABLE_TIMEOUT
    await refused(errno.ENOENT, fs.ops.lookup(LOCKS_INODE, b"left-behind", CONTEXT))
    await refused(errno.ENOTDIR, fs.ops.lookup(await fs.inode("config"), b"x", CONTEXT))
    await refused(errno.ESTALE, fs.ops.getattr(FIRST_HASHED_INODE + 5, CONTEXT))
    await refused(errno.EINVAL, fs.ops.readlink(await fs.inode("config"), CONTEXT))
    await refused(errno.EINVAL, fs.ops.open(data, os.O_RDONLY, CONTEXT))


@mounted
async def test_reading(fs: Mounted) -> None:
    opened = await fs.ops.open(await fs.inode("data/ab/abcd"), os.O_RDONLY, CONTEXT)
    assert opened.keep_cache
    for offset, size in [(0, 10), (299_999, 100), (300_000, 10), (1_000_000, 1), (100, 300_000)]:
        assert bytes(await fs.ops.read(opened.fh, offset, size)) == FILES["data/ab/abcd"][offset:][:size]
    await fs.ops.flush(opened.fh)
    await fs.ops.fsync(opened.fh, datasync=False)
    await fs.ops.release(opened.fh)
    empty = await fs.ops.open(await fs.inode("data/empty"), os.O_RDONLY, CONTEXT)
    assert await fs.ops.read(empty.fh, 0, 10) == b""


@mounted
async def test_trouble_with_s3_is_eio(fs: Mounted) -> None:
    opened = await fs.ops.open(await fs.inode("config"), os.O_RDONLY, CONTEXT)
    for error in (AccessDenied("no"), NotFound("the version is gone"), PermissionError("odd"), KeyError("odd")):

        def fault(*_: object, error: Exception = error) -> None:
            raise error

        fs.bucket.fault = fault
        await refused(errno.EIO, fs.ops.read(opened.fh, 0, 10))
    fs.bucket.fault = lambda *_: None
    assert bytes(await fs.ops.read(opened.fh, 0, 10)) == b"configurat"


def test_an_unforeseen_error_is_eio_and_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    @mounted
    async def test(fs: Mounted) -> None:
        await refused(errno.EIO, fs.ops.read(4711, 0, 10))

    test()
    assert caplog.records[-1].levelno == logging.ERROR
    assert caplog.records[-1].exc_info


@mounted
async def test_everything_outside_locks_is_read_only(fs: Mounted) -> None:
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
async def test_a_lock_from_birth_to_end(fs: Mounted) -> None:
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
    assert (await fs.ops.getattr(inode, CONTEXT)).st_nlink == 0, "the kernel still holds it"
    await fs.ops.forget([(inode, 2)])
    assert len(fs.locks_dirs) == 0


@mounted
async def test_the_limits_of_locks(fs: Mounted) -> None:
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


@mounted
async def test_dentries_are_invalidated_by_a_lookup_and_before_and_during_a_listing(fs: Mounted) -> None:
    calls: list[str] = []

    class RecordedInvalidation(DentryInvalidation):
        async def before_listing(self) -> None:
            calls.append("before_listing")

        def during_listing(self) -> None:
            calls.append("during_listing")

        def in_background(self) -> None:
            calls.append("in_background")

    fs.ops.dentry_invalidation = RecordedInvalidation(fs.tree)
    await fs.ops.lookup(ROOT_INODE, b"config", CONTEXT)
    assert calls == ["in_background"]
    handle = await fs.ops.opendir(ROOT_INODE, CONTEXT)
    assert calls == ["in_background", "before_listing"]
    await fs.ops.readdir(handle, len(FILES) + 1, None)  # type: ignore[arg-type]  # beyond the end: no reply
    assert calls == ["in_background", "before_listing", "during_listing"]


@mounted
async def test_extended_attributes(fs: Mounted) -> None:
    config = await fs.inode("config")
    assert set(await fs.ops.listxattr(config, CONTEXT)) == {b"user.rwm.version_id", b"user.rwm.etag"}
    assert await fs.ops.getxattr(config, b"user.rwm.version_id", CONTEXT) == version_of("config").encode()
    assert await fs.ops.getxattr(config, b"user.rwm.etag", CONTEXT) == b"etag-13"
    for inode, name in [
        (config, b"user.rwm.other"),
        (config, b"user.other"),
        (await fs.inode("data"), b"user.rwm.etag"),
        (ROOT_INODE, b"user.rwm.etag"),
        (LOCKS_INODE, b"user.rwm.etag"),
    ]:
        await refused(errno.ENODATA, fs.ops.getxattr(inode, name, CONTEXT))


@mounted
async def test_there_are_no_access_lists_and_labels_so_that_ls_does_not_ask_for_those_of_each_file(fs: Mounted) -> None:
    for inode in (await fs.inode("config"), ROOT_INODE, LOCKS_INODE):
        for name in (b"system.posix_acl_access", b"security.selinux", b"security.capability", b"trusted.x"):
            await refused(errno.EOPNOTSUPP, fs.ops.getxattr(inode, name, CONTEXT))


@mounted
async def test_extended_attributes_of_the_state(fs: Mounted) -> None:
    names = await fs.ops.listxattr(ROOT_INODE, CONTEXT)
    assert {name: await fs.ops.getxattr(ROOT_INODE, name, CONTEXT) for name in names} == {
        b"user.rwm.state_id": STATE_ID.encode(),
        b"user.rwm.captured_at": b"2023-11-14T22:13:20Z",
        b"user.rwm.trust": b"verified",
    }
    assert await fs.ops.listxattr(await fs.inode("data"), CONTEXT) == []


@mounted
async def test_statfs(fs: Mounted) -> None:
    answer = await fs.ops.statfs(CONTEXT)
    assert answer.f_blocks * answer.f_frsize >= 300_000
    assert answer.f_bfree <= 100_000 // answer.f_frsize
    assert answer.f_namemax == 255
    assert answer.f_files == len(FILES) + 5


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[tuple[str, int, int]]]:
    """Stand in for pyfuse3.readdir_reply: (name, inode, next) of a reply, of so many entries at most."""
    entries: list[tuple[str, int, int]] = []
    room = 0

    def reply(token: object, name: bytes, attributes: pyfuse3.EntryAttributes, following: int) -> bool:
        if len(entries) == room:
            return False
        entries.append((name.decode(), attributes.st_ino, following))
        return True

    monkeypatch.setattr(pyfuse3, "readdir_reply", reply)

    def start(count: int) -> list[tuple[str, int, int]]:
        nonlocal room
        room = count
        entries.clear()
        return entries

    return start


@pytest.mark.parametrize("room", [1, 2, 100])
def test_listing_in_pieces(replies: Callable[[int], list[tuple[str, int, int]]], room: int) -> None:
    token: Any = None

    @mounted
    async def test(fs: Mounted) -> None:
        handle = await fs.ops.opendir(ROOT_INODE, CONTEXT)
        seen: list[tuple[str, int, int]] = []
        while True:
            entries = replies(room)
            await fs.ops.readdir(handle, seen[-1][2] if seen else 0, token)
            if not entries:
                break
            seen += entries
        assert [name for name, _, _ in seen] == ["locks", "config", "data", "Привет мир"]
        assert len(fs.tree) == 3, "listed means looked up, but for locks; the one that did not fit is not"
        assert (await fs.lookup("config")).st_ino == {name: inode for name, inode, _ in seen}["config"]
        await fs.ops.forget([(inode, 1) for name, inode, _ in seen if name != "config"])
        assert len(fs.tree) == 1
        await fs.ops.releasedir(handle)

    test()


def test_listing_locks(replies: Callable[[int], list[tuple[str, int, int]]]) -> None:
    token: Any = None

    @mounted
    async def test(fs: Mounted) -> None:
        for name in (b"a", b"b", b"c"):
            await fs.ops.create(LOCKS_INODE, name, 0o600, os.O_RDWR, CONTEXT)
        handle = await fs.ops.opendir(LOCKS_INODE, CONTEXT)
        entries = replies(2)
        await fs.ops.readdir(handle, 0, token)
        assert [name for name, _, _ in entries] == ["a", "b"]
        await fs.ops.unlink(LOCKS_INODE, b"a", CONTEXT)
        position = entries[-1][2]
        entries = replies(2)
        await fs.ops.readdir(handle, position, token)
        assert [name for name, _, _ in entries] == ["c"]

    test()


@mounted
async def test_forgetting_what_is_not_held_ends_nothing(fs: Mounted) -> None:
    await fs.ops.forget([(FIRST_HASHED_INODE + 1, 1), (77, 1), (ROOT_INODE, 1), (LOCKS_INODE, 1)])
    assert (await fs.lookup("config")).st_size == 13
