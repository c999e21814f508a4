"""The FUSE handlers over a small state in memory, to be awaited directly by tests."""

from __future__ import annotations

import errno
import functools
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio

from rwmfs.fuse.operations import Operations
from rwmfs.tree.contents import SingleState
from rwmfs.tree.inodes import ROOT_INODE, InodeTree
from rwmfs.tree.locks_dir import LocksDirs
from tests.unit.fakes import fake_reader, fake_state

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
    """Operations over FILES, with short forms of look-ups."""

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
    """Run a test with its own Mounted."""

    @functools.wraps(test)
    def run() -> None:
        async def main() -> None:
            async with trio.open_nursery() as nursery:
                await test(Mounted(nursery, FILES))

        trio.run(main)

    del run.__wrapped__  # pytest would take its argument for a fixture
    return run


async def refused(code: int, call: Awaitable[object]) -> None:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await call
    assert errno.errorcode[caught.value.errno] == errno.errorcode[code]
