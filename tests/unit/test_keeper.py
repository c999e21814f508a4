"""The cache on disk as a mount uses it: what is there costs no request, and nobody waits for a disk that hangs."""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest
import trio
import trio.testing

from rwmfs.cachefile import GRAIN, Kept
from rwmfs.counters import Counters
from rwmfs.fetcher import Fetcher
from rwmfs.keeper import PAUSE, SECONDS, THREADS, UNWRITTEN, Keeper
from rwmfs.objectid import ObjectId
from rwmfs.pieces import Held, Piece
from tests.unit.fakes import FakeBucket, version_of
from tests.unit.reading import DATA, content, settled

KEY = str(4 * GRAIN)


def piece_of(number: int = 0) -> Piece:
    """A piece that is not here."""
    held = Held(ObjectId(KEY, version_of(KEY), 4 * GRAIN, "etag"))
    return held.add(number * GRAIN, (number + 1) * GRAIN)


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

    def read(self, identity: ObjectId, start: int, stop: int) -> Kept | None:
        self.calls.append(f"read {start // GRAIN}")
        self.go.wait(10)
        return Kept(memoryview(self.data), False) if self.data is not None else None

    def write(self, identity: ObjectId, start: int, data: memoryview, *, proven: bool) -> None:
        self.go.wait(10)
        self.calls.append(f"write {start // GRAIN}" + " proven" * proven)

    def drop(self, identity: ObjectId) -> None:
        self.go.wait(10)
        self.calls.append("drop")


def test_what_is_on_disk_costs_no_request_and_is_not_written_again() -> None:
    async def main() -> None:
        bucket, counters, disk, piece = FakeBucket(content), Counters(), Disk(DATA[:GRAIN]), piece_of()
        fetcher = Fetcher(bucket, counters, disk)
        await fetcher.fetch(piece)
        await fetcher.disk.keep(piece, proven=True)
        assert piece.data is not None and bytes(piece.data) == DATA[:GRAIN]
        assert piece.on_disk
        assert (counters.from_disk, counters.fetched, bucket.requests) == (GRAIN, 0, [])
        assert disk.calls == ["read 0"]

    trio.run(main)


@pytest.mark.parametrize(("proven", "written"), [(False, "write 2"), (True, "write 2 proven")])
def test_what_came_from_s3_is_kept(proven: bool, written: str) -> None:
    async def main() -> None:
        disk, piece = Disk(), piece_of(2)
        fetcher = Fetcher(FakeBucket(content), Counters(), disk)
        await fetcher.fetch(piece)
        assert not piece.on_disk
        await fetcher.disk.keep(piece, proven=proven)
        assert disk.calls == ["read 2", written]

    trio.run(main)


def test_of_an_object_that_was_wrong_the_disk_is_left_out_also_by_what_waits_for_it() -> None:
    async def main() -> None:
        disk, pieces = Disk(), [come() for _ in range(10)]
        keeper = Keeper(disk)
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
    monkeypatch.setattr("rwmfs.keeper.UNWRITTEN", 2 * GRAIN)
    assert UNWRITTEN > 2 * GRAIN

    async def main() -> None:
        disk, pieces = Disk(), [come() for _ in range(10)]
        keeper = Keeper(disk)
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
        keeper, piece = Keeper(None), come()
        assert not await keeper.find(piece_of())
        await keeper.keep(piece, proven=False)
        assert not piece.kept
        await keeper.disown(piece.held.id)

    trio.run(main)


# --- a disk that hangs ---------------------------------------------------------------------------------------


async def hang(disk: Disk, keeper: Keeper, clock: trio.testing.MockClock, piece: Piece) -> bool:
    """Look for a piece on a disk that does not answer in time; whether it was found."""
    found: list[bool] = []

    async def look() -> None:
        found.append(await keeper.find(piece))

    disk.go.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await settled()
        assert not found
        clock.jump(SECONDS + 0.1)
    return found[0]


def test_a_disk_that_hangs_is_not_waited_for_and_left_alone_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    clock = trio.testing.MockClock()
    disk = Disk(DATA[:GRAIN])

    async def main() -> None:
        keeper = Keeper(disk)
        assert not await hang(disk, keeper, clock, piece_of())
        disk.go.set()
        disk.calls.clear()
        piece = piece_of(1)
        assert not await keeper.find(piece)
        assert piece.data is None
        await keeper.keep(come(2), proven=True)
        assert disk.calls == []
        clock.jump(PAUSE)
        assert await keeper.find(piece)
        assert piece.on_disk

    with caplog.at_level(logging.WARNING, "rwmfs.keeper"):
        trio.run(main, clock=clock)
    assert [record.getMessage() for record in caplog.records] == [
        "the disk cache gave no answer within 10 s: everything comes from S3 for now"
    ]


def test_it_is_said_once_and_again_when_it_answered_in_between(caplog: pytest.LogCaptureFixture) -> None:
    clock = trio.testing.MockClock()
    disk = Disk()

    async def main() -> None:
        keeper = Keeper(disk)
        for is_well in (False, False, True, False):
            if is_well:
                disk.go.set()
                assert not await keeper.find(piece_of())
            else:
                await hang(disk, keeper, clock, piece_of())
                clock.jump(PAUSE)
        disk.go.set()

    with caplog.at_level(logging.WARNING, "rwmfs.keeper"):
        trio.run(main, clock=clock)
    assert len(caplog.records) == 2


def test_writing_that_hangs_holds_up_no_reader() -> None:
    clock = trio.testing.MockClock()
    disk = Disk(DATA[:GRAIN])

    async def main() -> None:
        keeper = Keeper(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            for number in range(THREADS):
                nursery.start_soon(partial(keeper.keep, come(number), proven=False))
            await settled()
            assert not await hang(disk, keeper, clock, piece_of())
            assert disk.calls == [], "it had no thread"
            disk.go.set()

    trio.run(main, clock=clock)


def test_the_end_of_a_mount_waits_for_no_disk() -> None:
    disk = Disk()

    async def main() -> None:
        keeper = Keeper(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.find, piece_of())
            nursery.start_soon(partial(keeper.keep, come(), proven=False))
            nursery.start_soon(keeper.disown, piece_of().held.id)
            await settled()
            nursery.cancel_scope.cancel()
        assert not disk.go.is_set()

    trio.run(main)
    disk.go.set()
