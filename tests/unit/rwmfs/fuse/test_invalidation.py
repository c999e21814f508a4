"""Names that the kernel has held for long go before a directory is listed, and nobody waits long for that."""

from __future__ import annotations

import errno
import threading
from collections.abc import Awaitable, Callable

import pyfuse3
import pytest
import trio

from rwmfs.fuse.invalidation import DentryInvalidation
from rwmfs.tree.contents import SingleState
from rwmfs.tree.inodes import ROOT_INODE, InodeTree
from tests.unit.fakes import FakeTree, entry_for

MOST = 10


class Kernel:
    """Takes down what it is asked to let go of; waits while it is stopped."""

    def __init__(self) -> None:
        self.gone: list[bytes] = []
        self.fails: dict[bytes, int] = {}
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def invalidate_entry(self, directory: int, name: bytes) -> None:
        assert directory == ROOT_INODE
        self.begun.set()
        self.go.wait(10)
        self.gone.append(name)
        if name in self.fails:
            raise OSError(self.fails[name], "no")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(pyfuse3, "invalidate_entry", kernel.invalidate_entry)
    return kernel


def holding(count: int) -> InodeTree:
    """A tree of which the kernel holds so many names, and should hold ten."""
    names = [f"{number:03}" for number in range(count)]
    tree = InodeTree(SingleState(FakeTree(entry_for(name, 1) for name in names), lambda info: "own"), dentry_limit=MOST)
    for name in names:
        found = tree.find(tree.contents.root, name)
        assert found is not None
        tree.add_lookup(tree.contents.root, found)
    return tree


def names(*numbers: int) -> list[bytes]:
    return [b"%03d" % number for number in numbers]


def run(act: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await act()

    trio.run(main)


async def quiet(invalidation: DentryInvalidation) -> None:
    """Wait until no thread is at work."""
    while invalidation._thread_running.locked():
        await trio.sleep(0.001)


def test_while_there_are_few_nothing_goes(kernel: Kernel) -> None:
    async def act() -> None:
        invalidation = DentryInvalidation(holding(MOST))
        await invalidation.before_listing()
        invalidation.during_listing()
        invalidation.in_background()
        await quiet(invalidation)
        assert kernel.gone == []

    run(act)


def test_the_oldest_are_gone_before_a_listing_begins(kernel: Kernel) -> None:
    async def act() -> None:
        await DentryInvalidation(holding(35)).before_listing()
        assert kernel.gone == names(*range(25))

    run(act)


def test_what_the_kernel_does_not_know_is_passed_over_and_a_mount_that_has_ended_is_not_asked(kernel: Kernel) -> None:
    kernel.fails = {b"003": errno.ENOENT, b"007": errno.EINVAL}
    run(DentryInvalidation(holding(35)).before_listing)
    assert kernel.gone == names(*range(8))


def test_who_opens_a_directory_does_not_wait_long_and_the_rest_goes_by_itself(kernel: Kernel) -> None:
    async def act() -> None:
        tree = holding(35)
        invalidation = DentryInvalidation(tree)
        kernel.go.clear()
        await invalidation.before_listing()
        assert kernel.gone == []
        for found in tree.contents.children(tree.contents.root)[:5]:  # and again
            tree.forget(tree.inode(tree.contents.root, found.name), 1)
            tree.add_lookup(tree.contents.root, found)
        await invalidation.before_listing()
        assert kernel.gone == [], "one thread at a time, and nobody waits for another's"
        kernel.go.set()
        await quiet(invalidation)
        assert kernel.gone == names(*range(25))
        await invalidation.before_listing()
        assert kernel.gone == names(*range(30)), "what had no turn is not forgotten"

    run(act)


def test_during_a_listing_names_go_only_when_there_are_far_too_many(kernel: Kernel) -> None:
    async def act() -> None:
        for count, gone in ((2 * MOST, 0), (2 * MOST + 1, MOST + 1)):
            invalidation = DentryInvalidation(holding(count))
            invalidation.during_listing()
            await quiet(invalidation)
            assert kernel.gone == names(*range(gone))

    run(act)


def test_names_that_are_looked_up_one_by_one_push_out_the_oldest(kernel: Kernel) -> None:
    async def act() -> None:
        invalidation = DentryInvalidation(holding(MOST + 1))
        invalidation.in_background()
        await quiet(invalidation)
        assert kernel.gone == names(*range(MOST // 2))

    run(act)


def test_at_the_end_no_more_go_and_it_is_waited_for_the_one_that_is_on_its_way(kernel: Kernel) -> None:
    async def act() -> None:
        invalidation = DentryInvalidation(holding(35))
        kernel.go.clear()
        invalidation.in_background()
        assert kernel.begun.wait(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(invalidation.stop)
            await trio.sleep(0.05)
            kernel.go.set()
        assert not invalidation._thread_running.locked()
        assert kernel.gone == names(0)
        await invalidation.before_listing()
        invalidation.in_background()
        assert kernel.gone == names(0)

    run(act)


def test_the_end_does_not_wait_for_ever(kernel: Kernel) -> None:
    async def act() -> None:
        invalidation = DentryInvalidation(holding(35))
        kernel.go.clear()
        invalidation.in_background()
        assert kernel.begun.wait(10)
        await invalidation.stop()
        assert invalidation._thread_running.locked()
        kernel.go.set()

    run(act)


def test_who_waited_may_be_gone_when_the_thread_ends(kernel: Kernel) -> None:
    kernel.go.clear()
    invalidation = DentryInvalidation(holding(35))
    run(invalidation.before_listing)
    kernel.go.set()
    while invalidation._thread_running.locked():
        kernel.go.wait(0.001)
