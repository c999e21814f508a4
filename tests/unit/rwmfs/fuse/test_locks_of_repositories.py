"""The ``locks/`` of repositories below the root, through the handlers."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pyfuse3
import pytest
import trio

from rwm.index import Index
from rwm.location import Location
from rwmfs.fuse.operations import Operations
from rwmfs.tree.all_states import AllStates
from rwmfs.tree.contents import SingleState
from rwmfs.tree.inodes import InodeTree
from rwmfs.tree.locks_dir import LocksDirs
from tests.unit.fakes import FakeBucket, FakeTree, entry_for, fake_reader
from tests.unit.kernel import CONTEXT, Kernel
from tests.unit.states import BUCKET, put

REPOSITORY = ["config", "keys/k", "data/aa/p"]


def keys(*prefixes: str) -> list[str]:
    return [prefix + name for prefix in prefixes for name in REPOSITORY]


class Mount:
    """Operations over a state with these keys, and a kernel in front of them."""

    def __init__(self, nursery: trio.Nursery, patch: pytest.MonkeyPatch, found: list[str]) -> None:
        tree = FakeTree(entry_for(key, 7) for key in found)
        self.locks_dirs = LocksDirs(tree.root, max_bytes=100, max_files=5)
        reader = fake_reader(FakeBucket(lambda key: b"1234567"), nursery)
        self.ops = Operations(InodeTree(SingleState(tree, lambda info: "own")), self.locks_dirs, reader)
        self.kernel = Kernel(self.ops, patch)


def test_a_repository_has_locks_at_any_depth_and_in_another_ones_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [*keys("host1/", "host1/data/aa/host2/"), "host1/locks/left-behind", "plain/locks/file", "plain/config"]

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            mount = Mount(nursery, monkeypatch, found)
            assert await mount.kernel.names("host1") == ["locks", "config", "data", "keys"]
            assert await mount.kernel.names("host1/locks") == []
            assert await mount.kernel.names("host1/data/aa/host2") == ["locks", "config", "data", "keys"]
            assert await mount.kernel.names("plain") == ["config", "locks"]
            assert await mount.kernel.names("plain/locks") == ["file"]
            locks = await mount.kernel.lookup("host1/locks")
            assert (locks.st_mode, locks.entry_timeout, locks.attr_timeout) == (stat.S_IFDIR | 0o700, 0, 0)
            plain = await mount.kernel.lookup("plain/locks")
            assert plain.st_mode == stat.S_IFDIR | 0o555

    trio.run(main)


def test_locks_of_repositories_have_common_limits_and_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            mount = Mount(nursery, monkeypatch, keys("", "host1/"))
            inner, outer = [(await mount.kernel.lookup(path)).st_ino for path in ("host1/locks", "locks")]
            opened, _ = await mount.ops.create(inner, b"a", 0o600, os.O_RDWR, CONTEXT)
            await mount.ops.write(opened.fh, 0, b"1" * 60)
            other, _ = await mount.ops.create(outer, b"a", 0o600, os.O_RDWR, CONTEXT)
            with pytest.raises(pyfuse3.FUSEError) as caught:
                await mount.ops.write(other.fh, 0, b"2" * 60)
            assert caught.value.errno == errno.ENOSPC
            with pytest.raises(pyfuse3.FUSEError) as caught:
                await mount.ops.rename(inner, b"a", outer, b"b", 0, CONTEXT)
            assert caught.value.errno == errno.EXDEV
            await mount.ops.rename(inner, b"a", inner, b"b", 0, CONTEXT)
            assert await mount.kernel.names("host1/locks") == ["b"]
            assert await mount.kernel.read("host1/locks/b") == b"1" * 60
            with pytest.raises(pyfuse3.FUSEError) as caught:
                await mount.ops.create((await mount.kernel.lookup("host1")).st_ino, b"x", 0o600, 2, CONTEXT)
            assert caught.value.errno == errno.EROFS

    trio.run(main)


def test_a_listing_of_many_repositories_keeps_only_what_the_kernel_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"host{number}" for number in range(50)]

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            mount = Mount(nursery, monkeypatch, keys(*(f"{host}/" for host in hosts)))
            inodes = {}
            for host in hosts:
                listed = await mount.kernel.names(host)  # it looks up each listed name too
                inodes[host] = (await mount.kernel.lookup(f"{host}/locks")).st_ino
                assert listed.count("locks") == 1
                assert mount.locks_dirs.directory(inodes[host])
                await mount.ops.forget([(inodes[host], 3)])
                assert mount.locks_dirs.directory(inodes[host]) is None
            for host in hosts:
                assert (await mount.kernel.lookup(f"{host}/locks")).st_ino == inodes[host]

    trio.run(main)


def test_locks_in_use_stay_reachable_when_their_state_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """restic has to remove its lock."""

    async def main() -> None:
        with Index.open(tmp_path / "index") as other, Index.open(tmp_path / "index", readonly=True) as index:
            info = put(other, 5, dict.fromkeys(keys("host1/", "host2/"), "v1"))
            async with trio.open_nursery() as nursery:
                contents = AllStates(index, Location(BUCKET), refresh_interval=0)
                reader = fake_reader(FakeBucket(lambda key: b"x"), nursery)
                ops = Operations(InodeTree(contents), LocksDirs(contents.root), reader)
                kernel = Kernel(ops, monkeypatch)
                root = (await kernel.lookup(f"ids/{info.id}/host1")).st_ino
                unused = (await kernel.lookup(f"ids/{info.id}/host2")).st_ino
                locks = (await kernel.lookup(f"ids/{info.id}/host1/locks")).st_ino
                await ops.create(locks, b"lock", 0o600, os.O_RDWR, CONTEXT)
                other.forget([info])
                assert (await ops.lookup(root, b"locks", CONTEXT)).st_ino == locks
                assert (await ops.lookup(locks, b"lock", CONTEXT)).st_size == 0
                await ops.unlink(locks, b"lock", CONTEXT)
                with pytest.raises(pyfuse3.FUSEError) as caught:
                    await ops.lookup(unused, b"locks", CONTEXT)
                assert caught.value.errno == errno.EIO

    trio.run(main)
