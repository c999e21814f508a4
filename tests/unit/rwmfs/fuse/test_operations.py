"""The FUSE handlers that read, awaited directly: attributes, lookup counts, listings, xattrs."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any

import pyfuse3
import pytest

from rwmfs.fuse.attributes import IMMUTABLE_TIMEOUT
from rwmfs.fuse.invalidation import DentryInvalidation
from rwmfs.tree.inodes import FIRST_HASHED_INODE, ROOT_INODE
from rwmfs.tree.locks_dir import LOCKS_INODE
from tests.unit.fakes import STATE_ID, version_of
from tests.unit.rwmfs.fuse.mounted import CONTEXT, FILES, Mounted, mounted, refused


@mounted
async def test_attributes_of_a_file(fs: Mounted) -> None:
    attributes = await fs.lookup("data/ab/abcd")
    assert attributes.st_mode == stat.S_IFREG | 0o444
    assert attributes.st_size == 300_000
    assert attributes.st_blksize == 4 << 20, "the read size of programs that use st_blksize"
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
async def test_names_and_inodes_that_do_not_exist(fs: Mounted) -> None:
    data = await fs.inode("data")
    for parent, name in [(ROOT_INODE, b"no"), (data, b"no"), (ROOT_INODE, b"\xff\xfe"), (ROOT_INODE, b"..")]:
        absent = await fs.ops.lookup(parent, name, CONTEXT)
        assert absent.st_ino == 0, "a negative entry"
        assert absent.entry_timeout == IMMUTABLE_TIMEOUT
    await refused(errno.ENOENT, fs.ops.lookup(LOCKS_INODE, b"left-behind", CONTEXT))
    await refused(errno.ENOTDIR, fs.ops.lookup(await fs.inode("config"), b"x", CONTEXT))
    await refused(errno.ESTALE, fs.ops.getattr(FIRST_HASHED_INODE + 5, CONTEXT))
    await refused(errno.EINVAL, fs.ops.readlink(await fs.inode("config"), CONTEXT))
    await refused(errno.EINVAL, fs.ops.open(data, os.O_RDONLY, CONTEXT))


@mounted
async def test_read_returns_the_requested_range(fs: Mounted) -> None:
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
async def test_xattrs_of_a_file(fs: Mounted) -> None:
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
async def test_xattrs_outside_user_are_eopnotsupp_so_that_ls_stops_asking(fs: Mounted) -> None:
    for inode in (await fs.inode("config"), ROOT_INODE, LOCKS_INODE):
        for name in (b"system.posix_acl_access", b"security.selinux", b"security.capability", b"trusted.x"):
            await refused(errno.EOPNOTSUPP, fs.ops.getxattr(inode, name, CONTEXT))


@mounted
async def test_xattrs_of_a_state(fs: Mounted) -> None:
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
    """Replace pyfuse3.readdir_reply: (name, inode, next position) of each entry, up to a number of entries."""
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
def test_readdir_in_pieces(replies: Callable[[int], list[tuple[str, int, int]]], room: int) -> None:
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
        assert len(fs.tree) == 3, "a listed entry counts as a lookup, except the one that did not fit"
        assert (await fs.lookup("config")).st_ino == {name: inode for name, inode, _ in seen}["config"]
        await fs.ops.forget([(inode, 1) for name, inode, _ in seen if name != "config"])
        assert len(fs.tree) == 1
        await fs.ops.releasedir(handle)

    test()


def test_readdir_of_locks(replies: Callable[[int], list[tuple[str, int, int]]]) -> None:
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
async def test_forget_of_an_unknown_inode_is_ignored(fs: Mounted) -> None:
    await fs.ops.forget([(FIRST_HASHED_INODE + 1, 1), (77, 1), (ROOT_INODE, 1), (LOCKS_INODE, 1)])
    assert (await fs.lookup("config")).st_size == 13
