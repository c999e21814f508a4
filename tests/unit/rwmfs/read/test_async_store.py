"""The cache on disk as a mount uses it: what is there costs no request, and nobody waits for a disk that hangs."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from rwmfs.cache.block_file import BLOCK, StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.async_store import PAUSE, READING, SECONDS, UNWRITTEN, WRITING, AsyncStore
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.pieces import BufferedObject, Piece
from tests.unit.fakes import FakeBucket, version_of
from tests.unit.reading import DATA, content, settled

KEY = str(4 * BLOCK)


def piece_of(number: int = 0) -> Piece:
    """A piece that is not here."""
    held = BufferedObject(ObjectId(KEY, version_of(KEY), 4 * BLOCK, "etag"))
    return held.add(number * BLOCK, (number + 1) * BLOCK)


def come(number: int = 0) -> Piece:
    """A piece that came from S3."""
    piece = piece_of(number)
    piece.data = memoryview(DATA)[piece.start : piece.stop]
    return piece


class Disk:
    """Says what it is told to, remembers what it is asked, and does nothing while it is stopped."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data
        self.calls: list[str] = []
        self.go = threading.Event()
        self.go.set()
        self.once = threading.Semaphore(0)  # lets a single read through
        self.go_on = False  # lets those through that begin from now on

    def read(self, identity: ObjectId, start: int, stop: int) -> StoredRange | None:
        self.calls.append(f"read {start // BLOCK}")
        passes = self.go_on
        while not (passes or self.go.is_set() or self.once.acquire(timeout=0.01)):
            pass
        return StoredRange(memoryview(self.data), False) if self.data is not None else None

    def write(self, identity: ObjectId, start: int, data: memoryview, *, proven: bool) -> None:
        self.go.wait(10)
        self.calls.append(f"write {start // BLOCK}" + " proven" * proven)

    def drop(self, identity: ObjectId) -> None:
        self.go.wait(10)
        self.calls.append("drop")


def test_what_is_on_disk_costs_no_request_and_is_not_written_again() -> None:
    async def main() -> None:
        bucket, counters, disk, piece = FakeBucket(content), Counters(), Disk(DATA[:BLOCK]), piece_of()
        fetcher = Fetcher(bucket, counters, disk)
        await fetcher.fetch(piece)
        await fetcher.keeper.keep(piece, proven=True)
        assert piece.data is not None and bytes(piece.data) == DATA[:BLOCK]
        assert piece.on_disk
        assert (counters.from_disk, counters.fetched, bucket.requests) == (BLOCK, 0, [])
        assert disk.calls == ["read 0"]

    trio.run(main)


@pytest.mark.parametrize(("proven", "written"), [(False, "write 2"), (True, "write 2 proven")])
def test_what_came_from_s3_is_kept(proven: bool, written: str) -> None:
    async def main() -> None:
        disk, piece = Disk(), piece_of(2)
        fetcher = Fetcher(FakeBucket(content), Counters(), disk)
        await fetcher.fetch(piece)
        assert not piece.on_disk
        await fetcher.keeper.keep(piece, proven=proven)
        assert disk.calls == ["read 2", written]

    trio.run(main)


def test_of_an_object_that_was_wrong_the_disk_is_left_out_also_by_what_waits_for_it() -> None:
    async def main() -> None:
        disk, pieces = Disk(), [come() for _ in range(10)]
        keeper = AsyncStore(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            for piece in pieces:
                nursery.start_soon(partial(keeper.keep, piece, proven=False))
            await settled()
            for piece in pieces:
                piece.held.reject()
            disk.go.set()
        written = disk.calls.count("write 0")
        assert 0 < written < len(pieces), "those that had begun"
        assert disk.calls[-1] == "drop"
        disk.calls.clear()
        assert not await keeper.find(pieces[0])
        await keeper.keep(pieces[0], proven=False)
        assert disk.calls == [], "it is neither read nor written"
        await keeper.disown(pieces[0].held.id)
        assert disk.calls == ["drop"]

    trio.run(main)


def test_a_slow_disk_does_not_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwmfs.read.async_store.UNWRITTEN", 2 * BLOCK)
    assert UNWRITTEN > 2 * BLOCK

    async def main() -> None:
        disk, pieces = Disk(), [come() for _ in range(10)]
        keeper = AsyncStore(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            for piece in pieces:
                nursery.start_soon(partial(keeper.keep, piece, proven=False))
            await settled()
            disk.go.set()
        assert disk.calls == ["write 0"] * 3
        kept = [piece for piece in pieces if piece.kept]
        assert len(kept) == 3
        for piece in kept:
            await keeper.keep(piece, proven=False)
        assert disk.calls == ["write 0"] * 3, "once"
        await keeper.keep(next(piece for piece in pieces if not piece.kept), proven=False)
        assert disk.calls == ["write 0"] * 4

    trio.run(main)


def test_without_a_disk_nothing_is_kept() -> None:
    async def main() -> None:
        keeper, piece = AsyncStore(None), come()
        assert not await keeper.find(piece_of())
        await keeper.keep(piece, proven=False)
        assert not piece.kept
        await keeper.disown(piece.held.id)

    trio.run(main)


# --- a disk that hangs ---------------------------------------------------------------------------------------


class Finding:
    """Looks for pieces, each in a task of its own; ``found`` has what came out, in the order in which it did."""

    def __init__(self, keeper: AsyncStore, nursery: trio.Nursery) -> None:
        self.keeper = keeper
        self.nursery = nursery
        self.found: list[bool] = []

    async def look(self, piece: Piece | None = None) -> None:
        """Begin to look for one, as far as that goes by itself."""
        self.nursery.start_soon(self._look, piece or piece_of())
        await settled()

    async def _look(self, piece: Piece) -> None:
        self.found.append(await self.keeper.find(piece))


def hanging(test: Callable[[AsyncStore, Disk, Finding, trio.testing.MockClock], Awaitable[None]]) -> Callable[[], None]:
    """The test with a disk that has a grain, and stops; it goes on when the test is over."""

    @functools.wraps(test)
    def run() -> None:
        clock, disk = trio.testing.MockClock(), Disk(DATA[:BLOCK])

        async def main() -> None:
            keeper = AsyncStore(disk)
            disk.go.clear()
            async with trio.open_nursery() as nursery:
                await test(keeper, disk, Finding(keeper, nursery), clock)
                disk.go.set()

        trio.run(main, clock=clock)

    del run.__wrapped__  # or pytest would ask for its arguments
    return run


@hanging
async def test_a_disk_that_hangs_is_waited_for_for_a_while_by_all_who_wait_at_that_time(
    keeper: AsyncStore, disk: Disk, finding: Finding, clock: trio.testing.MockClock
) -> None:
    await finding.look()
    clock.jump(SECONDS - 1)
    for _ in range(READING + 1):  # the last one has no thread
        await finding.look()
    assert finding.found == []
    clock.jump(2)
    await settled()
    assert finding.found == [False] * (READING + 2)


@hanging
async def test_then_it_is_left_alone_and_one_tries_again(
    keeper: AsyncStore, disk: Disk, finding: Finding, clock: trio.testing.MockClock
) -> None:
    await finding.look()
    clock.jump(SECONDS + 1)
    await settled()
    disk.calls.clear()
    await finding.look()
    await keeper.keep(come(2), proven=True)
    assert (finding.found, disk.calls) == ([False, False], [])
    clock.jump(PAUSE)
    for _ in range(3):
        await finding.look()
    assert finding.found == [False] * 4, "one waits"
    disk.go.set()
    await settled()
    assert finding.found == [False] * 4 + [True]
    await finding.look()
    assert finding.found[-1], "it is in use again"


@hanging
async def test_a_slow_disk_is_waited_for_as_long_as_it_answers(
    keeper: AsyncStore, disk: Disk, finding: Finding, clock: trio.testing.MockClock
) -> None:
    keeper._reading.total_tokens = 1
    for _ in range(3):
        await finding.look()
    for answers in range(1, 4):
        clock.jump(SECONDS - 1)
        disk.once.release()
        await settled()
        assert finding.found == [True] * answers


@hanging
async def test_who_has_had_his_turn_is_given_more_time_once(
    keeper: AsyncStore, disk: Disk, finding: Finding, clock: trio.testing.MockClock
) -> None:
    """One part of the disk hangs, and others go on."""
    await finding.look()
    disk.go_on = True
    for _ in range(2):
        clock.jump(SECONDS - 1)
        await finding.look()
    assert finding.found == [True, True]
    clock.jump(2)
    await settled()
    assert finding.found == [True, True, False]


@hanging
async def test_a_miss_does_not_tell_that_the_disk_is_well(
    keeper: AsyncStore, disk: Disk, finding: Finding, clock: trio.testing.MockClock
) -> None:
    await finding.look()
    disk.go_on, disk.data = True, None
    clock.jump(SECONDS - 1)
    await finding.look()
    assert finding.found == [False]
    clock.jump(2)
    await settled()
    assert finding.found == [False, False]


@hanging
async def test_writing_that_hangs_holds_up_no_reader(
    keeper: AsyncStore, disk: Disk, finding: Finding, clock: trio.testing.MockClock
) -> None:
    for number in range(WRITING + 1):
        finding.nursery.start_soon(partial(keeper.keep, come(number % 4), proven=False))
    await settled()
    disk.once.release()
    await finding.look()
    assert (finding.found, disk.calls) == ([True], ["read 0"])


def test_that_it_hangs_is_said_once_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    @hanging
    async def run(keeper: AsyncStore, disk: Disk, finding: Finding, clock: trio.testing.MockClock) -> None:
        for _ in range(2):
            for _ in range(2):
                for _ in range(3):
                    await finding.look()
                clock.jump(SECONDS + 1)
                await settled()
                clock.jump(PAUSE)
            disk.go.set()
            await settled()
            await finding.look()
            assert finding.found[-1]
            disk.go.clear()

    with caplog.at_level(logging.WARNING, "rwmfs.read.async_store"):
        run()
    said = "the disk cache gave no answer within 10 s: everything comes from S3 for now"
    assert [record.getMessage() for record in caplog.records] == [said] * 2


def test_the_end_of_a_mount_waits_for_no_disk() -> None:
    disk = Disk()

    async def main() -> None:
        keeper = AsyncStore(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.find, piece_of())
            nursery.start_soon(partial(keeper.keep, come(), proven=False))
            nursery.start_soon(keeper.disown, piece_of().held.id)
            await settled()
            nursery.cancel_scope.cancel()
        assert disk.calls == ["read 0"], "nothing has come to its end"
        disk.go.set()

    trio.run(main)
