"""Names that the kernel has held for long go before a directory is listed, and nobody waits long for that."""

from __future__ import annotations

import errno
import threading
from collections.abc import Awaitable, Callable

import pyfuse3
import pytest
import trio
import trio.testing

from rwmfs.lettinggo import SECONDS, LettingGo
from rwmfs.shown import OneState
from rwmfs.tree import ROOT_INODE, InodeTree
from tests.unit.fakes import FakeTree, entry_for
from tests.unit.reading import settled

MOST = 10


class Kernel:
    """Takes down what it is asked to let go of, at once and some time soon; waits while it is stopped."""

    def __init__(self) -> None:
        self.gone: list[bytes] = []
        self.asked: list[bytes] = []
        self.fails: dict[bytes, int] = {}
        self.go = threading.Event()
        self.go.set()

    def invalidate_entry(self, directory: int, name: bytes) -> None:
        assert directory == ROOT_INODE
        self.go.wait(10)
        self.gone.append(name)
        if name in self.fails:
            raise OSError(self.fails[name], "no")

    def invalidate_entry_async(self, directory: int, name: bytes, *, ignore_enoent: bool) -> None:
        assert (directory, ignore_enoent) == (ROOT_INODE, True)
        self.asked.append(name)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    for name in ("invalidate_entry", "invalidate_entry_async"):
        monkeypatch.setattr(pyfuse3, name, getattr(kernel, name))
    return kernel


def holding(count: int) -> InodeTree:
    """A tree of which the kernel holds so many names, and should hold ten."""
    names = [f"{number:03}" for number in range(count)]
    tree = InodeTree(OneState(FakeTree(entry_for(name, 1) for name in names), lambda info: "own"), most=MOST)
    for name in names:
        found = tree.find(tree.shown.root, name)
        assert found is not None
        tree.hold(tree.shown.root, found)
    return tree


def names(*numbers: int) -> list[bytes]:
    return [b"%03d" % number for number in numbers]


def run(act: Callable[[], Awaitable[None]], clock: trio.testing.MockClock | None = None) -> None:
    async def main() -> None:
        await act()

    trio.run(main, clock=clock)


def test_while_there_are_few_nothing_goes(kernel: Kernel) -> None:
    letting_go = LettingGo(holding(MOST))
    run(letting_go.before_listing)
    letting_go.during_listing()
    letting_go.soon()
    assert kernel.gone == kernel.asked == []


def test_the_oldest_are_gone_before_a_listing_begins(kernel: Kernel) -> None:
    letting_go = LettingGo(holding(35))
    run(letting_go.before_listing)
    assert kernel.gone == names(*range(25))
    assert kernel.asked == []


def test_what_the_kernel_does_not_know_is_passed_over_and_a_mount_that_has_ended_is_not_asked(kernel: Kernel) -> None:
    kernel.fails = {b"003": errno.ENOENT, b"007": errno.EINVAL}
    run(LettingGo(holding(35)).before_listing)
    assert kernel.gone == names(*range(8))


def test_who_opens_a_directory_does_not_wait_long_and_the_rest_goes_by_itself(kernel: Kernel) -> None:
    clock = trio.testing.MockClock()

    async def act() -> None:
        opened = trio.Event()

        async def open_directory() -> None:
            await LettingGo(holding(35)).before_listing()
            opened.set()

        kernel.go.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_directory)
            await settled()
            assert not opened.is_set()
            clock.jump(SECONDS + 0.1)
            await opened.wait()
        assert kernel.gone == []
        kernel.go.set()
        while len(kernel.gone) < 25:
            await settled()

    run(act, clock)


def test_who_has_no_turn_in_time_leaves_it_to_the_next(kernel: Kernel) -> None:
    clock = trio.testing.MockClock()

    async def act() -> None:
        tree = holding(35)
        letting_go = LettingGo(tree)
        async with letting_go._turn, trio.open_nursery() as nursery:
            nursery.start_soon(letting_go.before_listing)
            await settled()
            clock.jump(SECONDS + 0.1)
        assert kernel.gone == []
        await letting_go.before_listing()
        assert kernel.gone == names(*range(25))

    run(act, clock)


def test_during_a_listing_names_go_only_when_there_are_far_too_many(kernel: Kernel) -> None:
    LettingGo(holding(2 * MOST)).during_listing()
    assert kernel.asked == []
    LettingGo(holding(2 * MOST + 1)).during_listing()
    assert kernel.asked == names(*range(MOST + 1))


def test_names_that_are_looked_up_one_by_one_push_out_the_oldest(kernel: Kernel) -> None:
    LettingGo(holding(MOST + 1)).soon()
    assert kernel.asked == names(*range(MOST // 2))
    assert kernel.gone == []
