"""Dentry invalidation: which dentries, when, and how long opendir waits."""

from __future__ import annotations

import errno
import threading
from collections.abc import Awaitable, Callable

import pyfuse3
import pytest
import trio

from rwmfs.fuse import invalidation as invalidation_module
from rwmfs.fuse.invalidation import DentryInvalidation
from rwmfs.tree.contents import SingleState
from rwmfs.tree.inodes import ROOT_INODE, InodeTree
from tests.unit.fakes import FakeTree, entry_for

LIMIT = 10


class Kernel:
    """Records the invalidated names; blocks while ``go`` is not set."""

    def __init__(self) -> None:
        self.invalidated: list[bytes] = []
        self.fails: dict[bytes, int] = {}
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def invalidate_entry(self, directory: int, name: bytes) -> None:
        assert directory == ROOT_INODE
        self.begun.set()
        self.go.wait(300)
        self.invalidated.append(name)
        if name in self.fails:
            raise OSError(self.fails[name], "no")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(pyfuse3, "invalidate_entry", kernel.invalidate_entry)
    return kernel


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invalidation_module, "MAX_WAIT", 0.05)


def tree_of(count: int) -> InodeTree:
    """A tree with so many dentries and a limit of ten."""
    names = [f"{number:03}" for number in range(count)]
    tree = InodeTree(
        SingleState(FakeTree(entry_for(name, 1) for name in names), lambda info: "own"), dentry_limit=LIMIT
    )
    for name in names:
        found = tree.find(tree.contents.root, name)
        assert found is not None
        tree.add_lookup(tree.contents.root, found)
    return tree


def names(*numbers: int) -> list[bytes]:
    return [b"%03d" % number for number in numbers]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    trio.run(main)


async def until_idle(invalidation: DentryInvalidation) -> None:
    """Wait until no thread is running."""
    while invalidation._thread_running.locked():
        await trio.sleep(0.001)


def test_nothing_is_invalidated_below_the_limit(kernel: Kernel) -> None:
    async def test() -> None:
        invalidation = DentryInvalidation(tree_of(LIMIT))
        await invalidation.before_listing()
        invalidation.during_listing()
        invalidation.in_background()
        await until_idle(invalidation)
        assert kernel.invalidated == []

    run(test)


def test_the_oldest_dentries_are_invalidated_before_a_listing(kernel: Kernel) -> None:
    async def test() -> None:
        await DentryInvalidation(tree_of(35)).before_listing()
        assert kernel.invalidated == names(*range(25))

    run(test)


def test_enoent_is_ignored_and_any_other_error_ends_the_invalidation(kernel: Kernel) -> None:
    kernel.fails = {b"003": errno.ENOENT, b"007": errno.EINVAL}
    run(DentryInvalidation(tree_of(35)).before_listing)
    assert kernel.invalidated == names(*range(8))


@pytest.mark.usefixtures("short_wait")
def test_opendir_waits_for_a_limited_time_and_the_invalidation_continues(kernel: Kernel) -> None:
    async def test() -> None:
        tree = tree_of(35)
        invalidation = DentryInvalidation(tree)
        kernel.go.clear()
        await invalidation.before_listing()
        assert kernel.invalidated == []
        for found in tree.contents.children(tree.contents.root)[:5]:  # looked up again
            tree.forget(tree.inode(tree.contents.root, found.name), 1)
            tree.add_lookup(tree.contents.root, found)
        await invalidation.before_listing()
        assert kernel.invalidated == [], "one thread at a time, and no wait for a running one"
        kernel.go.set()
        await until_idle(invalidation)
        assert kernel.invalidated == names(*range(25))
        await invalidation.before_listing()
        await until_idle(invalidation)
        assert kernel.invalidated == names(*range(30)), "the dentries of the second call are still pending"

    run(test)


def test_during_a_listing_dentries_are_invalidated_only_above_twice_the_limit(kernel: Kernel) -> None:
    async def test() -> None:
        for count, expected in ((2 * LIMIT, 0), (2 * LIMIT + 1, LIMIT + 1)):
            invalidation = DentryInvalidation(tree_of(count))
            invalidation.during_listing()
            await until_idle(invalidation)
            assert kernel.invalidated == names(*range(expected))

    run(test)


def test_lookups_invalidate_the_oldest_dentries_in_the_background(kernel: Kernel) -> None:
    async def test() -> None:
        invalidation = DentryInvalidation(tree_of(LIMIT + 1))
        invalidation.in_background()
        await until_idle(invalidation)
        assert kernel.invalidated == names(*range(LIMIT // 2))

    run(test)


def test_stop_waits_for_the_running_invalidation_and_prevents_others(kernel: Kernel) -> None:
    async def test() -> None:
        invalidation = DentryInvalidation(tree_of(35))
        kernel.go.clear()
        invalidation.in_background()
        assert kernel.begun.wait(300)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(invalidation.stop)
            await trio.sleep(0.05)
            kernel.go.set()
        assert not invalidation._thread_running.locked()
        assert kernel.invalidated == names(0)
        await invalidation.before_listing()
        invalidation.in_background()
        assert kernel.invalidated == names(0)

    run(test)


@pytest.mark.usefixtures("short_wait")
def test_stop_waits_for_a_limited_time(kernel: Kernel) -> None:
    async def test() -> None:
        invalidation = DentryInvalidation(tree_of(35))
        kernel.go.clear()
        invalidation.in_background()
        assert kernel.begun.wait(300)
        await invalidation.stop()
        assert invalidation._thread_running.locked()
        kernel.go.set()

    run(test)


@pytest.mark.usefixtures("short_wait")
def test_the_trio_run_may_end_before_the_thread(kernel: Kernel) -> None:
    kernel.go.clear()
    invalidation = DentryInvalidation(tree_of(35))
    run(invalidation.before_listing)
    kernel.go.set()
    while invalidation._thread_running.locked():
        kernel.go.wait(0.001)
