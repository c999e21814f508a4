"""The disk cache off the trio thread: pieces on disk cause no request, and a disk that hangs times out."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from rwmfs.cache import BLOCK, StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.async_store import DISK_TIMEOUT, MAX_UNWRITTEN, READ_THREADS, SUSPEND, WRITE_THREADS, AsyncStore
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.pieces import BufferedObject, Piece
from tests.unit.fakes import FakeBucket, version_of
from tests.unit.reading import DATA, content, settled

KEY = str(4 * BLOCK)


def piece_of(number: int = 0) -> Piece:
    """A piece without data."""
    buffered = BufferedObject(ObjectId(KEY, version_of(KEY), 4 * BLOCK, "etag"))
    return buffered.add(number * BLOCK, (number + 1) * BLOCK)


def fetched_piece(number: int = 0) -> Piece:
    """A piece with data from S3."""
    piece = piece_of(number)
    piece.data = memoryview(DATA)[piece.start : piece.stop]
    return piece


class Gate:
    """Open or closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_open = True
        self._passes = 0

    def set(self) -> None:
        """Open."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Close."""
        self._is_open = False

    def release(self) -> None:
        """Let a single thread through that waits with ``uses_pass``."""
        with self._changed:
            self._passes += 1
            self._changed.notify_all()

    def wait(self, *, uses_pass: bool = False) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or (uses_pass and self._passes), 300)
            self._passes -= not self._is_open and uses_pass


class Disk:
    """A BlockStore that answers ``data``, records its calls, and blocks while ``go`` is cleared."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data
        self.calls: list[str] = []
        self.go = Gate()
        self.pass_new = False  # lets those through that begin from now on

    def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
        self.calls.append(f"read {start // BLOCK}")
        if not self.pass_new:
            self.go.wait(uses_pass=True)
        return StoredRange(memoryview(self.data), False) if self.data is not None else None

    def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
        self.go.wait()
        self.calls.append(f"write {start // BLOCK}" + " verified" * verified)

    def drop(self, object_id: ObjectId) -> None:
        self.go.wait()
        self.calls.append("drop")


def test_a_piece_on_disk_causes_no_request_and_no_write() -> None:
    async def main() -> None:
        bucket, counters, disk, piece = FakeBucket(content), Counters(), Disk(DATA[:BLOCK]), piece_of()
        fetcher = Fetcher(bucket, counters, disk)
        await fetcher.fetch(piece)
        await fetcher.store.save(piece, verified=True)
        assert piece.data is not None and bytes(piece.data) == DATA[:BLOCK]
        assert piece.from_disk
        assert (counters.from_disk, counters.fetched, bucket.requests) == (BLOCK, 0, [])
        assert disk.calls == ["read 0"]

    trio.run(main)


@pytest.mark.parametrize(("verified", "written"), [(False, "write 2"), (True, "write 2 verified")])
def test_a_piece_from_s3_is_saved(verified: bool, written: str) -> None:
    async def main() -> None:
        disk, piece = Disk(), piece_of(2)
        fetcher = Fetcher(FakeBucket(content), Counters(), disk)
        await fetcher.fetch(piece)
        assert not piece.from_disk
        await fetcher.store.save(piece, verified=verified)
        assert disk.calls == ["read 2", written]

    trio.run(main)


def test_objects_with_a_mismatch_are_neither_read_nor_written() -> None:
    async def main() -> None:
        disk, pieces = Disk(), [fetched_piece() for _ in range(10)]
        store = AsyncStore(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            for piece in pieces:
                nursery.start_soon(partial(store.save, piece, verified=False))
            await settled()
            for piece in pieces:
                piece.object.reject()
            disk.go.set()
        written = disk.calls.count("write 0")
        assert 0 < written < len(pieces), "those that had started"
        assert disk.calls[-1] == "drop"
        disk.calls.clear()
        assert not await store.load(pieces[0])
        await store.save(pieces[0], verified=False)
        assert disk.calls == [], "neither read nor written"
        await store.drop(pieces[0].object.id)
        assert disk.calls == ["drop"]

    trio.run(main)


def test_pending_writes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwmfs.read.async_store.MAX_UNWRITTEN", 2 * BLOCK)
    assert MAX_UNWRITTEN > 2 * BLOCK

    async def main() -> None:
        disk, pieces = Disk(), [fetched_piece() for _ in range(10)]
        store = AsyncStore(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            for piece in pieces:
                nursery.start_soon(partial(store.save, piece, verified=False))
            await settled()
            disk.go.set()
        assert disk.calls == ["write 0"] * 3
        saved = [piece for piece in pieces if piece.stored]
        assert len(saved) == 3
        for piece in saved:
            await store.save(piece, verified=False)
        assert disk.calls == ["write 0"] * 3, "once"
        await store.save(next(piece for piece in pieces if not piece.stored), verified=False)
        assert disk.calls == ["write 0"] * 4

    trio.run(main)


def test_without_a_store_nothing_is_saved() -> None:
    async def main() -> None:
        store, piece = AsyncStore(None), fetched_piece()
        assert not await store.load(piece_of())
        await store.save(piece, verified=False)
        assert not piece.stored
        await store.drop(piece.object.id)

    trio.run(main)


# --- a disk that hangs ---------------------------------------------------------------------------------------


class Loading:
    """Loads pieces, each in a task of its own; ``found`` has the results in the order of their arrival."""

    def __init__(self, store: AsyncStore, nursery: trio.Nursery) -> None:
        self.store = store
        self.nursery = nursery
        self.found: list[bool] = []

    async def start(self, piece: Piece | None = None) -> None:
        """Start to load a piece, until nothing more happens by itself."""
        self.nursery.start_soon(self._load, piece or piece_of())
        await settled()

    async def _load(self, piece: Piece) -> None:
        self.found.append(await self.store.load(piece))


def hanging(test: Callable[[AsyncStore, Disk, Loading, trio.testing.MockClock], Awaitable[None]]) -> Callable[[], None]:
    """Run a test with a disk that has one block and blocks until the test has ended."""

    @functools.wraps(test)
    def run() -> None:
        clock, disk = trio.testing.MockClock(), Disk(DATA[:BLOCK])

        async def main() -> None:
            store = AsyncStore(disk)
            disk.go.clear()
            async with trio.open_nursery() as nursery:
                await test(store, disk, Loading(store, nursery), clock)
                disk.go.set()

        trio.run(main, clock=clock)

    del run.__wrapped__  # or pytest would ask for its arguments
    return run


@hanging
async def test_a_timeout_ends_all_pending_reads(
    store: AsyncStore, disk: Disk, loading: Loading, clock: trio.testing.MockClock
) -> None:
    await loading.start()
    clock.jump(DISK_TIMEOUT - 1)
    for _ in range(READ_THREADS + 1):  # the last one has no thread
        await loading.start()
    assert loading.found == []
    clock.jump(2)
    await settled()
    assert loading.found == [False] * (READ_THREADS + 2)


@hanging
async def test_one_read_tries_again_after_the_suspension(
    store: AsyncStore, disk: Disk, loading: Loading, clock: trio.testing.MockClock
) -> None:
    await loading.start()
    clock.jump(DISK_TIMEOUT + 1)
    await settled()
    disk.calls.clear()
    await loading.start()
    await store.save(fetched_piece(2), verified=True)
    assert (loading.found, disk.calls) == ([False, False], [])
    clock.jump(SUSPEND)
    for _ in range(3):
        await loading.start()
    assert loading.found == [False] * 4, "one is pending"
    disk.go.set()
    await settled()
    assert loading.found == [False] * 4 + [True]
    await loading.start()
    assert loading.found[-1], "not suspended any more"


@hanging
async def test_reads_do_not_time_out_while_the_disk_answers(
    store: AsyncStore, disk: Disk, loading: Loading, clock: trio.testing.MockClock
) -> None:
    store._read_limiter.total_tokens = 1
    for _ in range(3):
        await loading.start()
    for answers in range(1, 4):
        clock.jump(DISK_TIMEOUT - 1)
        disk.go.release()
        await settled()
        assert loading.found == [True] * answers


@hanging
async def test_the_deadline_of_a_started_read_is_renewed_once(
    store: AsyncStore, disk: Disk, loading: Loading, clock: trio.testing.MockClock
) -> None:
    """A part of the disk hangs while others answer."""
    await loading.start()
    disk.pass_new = True
    for _ in range(2):
        clock.jump(DISK_TIMEOUT - 1)
        await loading.start()
    assert loading.found == [True, True]
    clock.jump(2)
    await settled()
    assert loading.found == [True, True, False]


@hanging
async def test_a_miss_does_not_renew_deadlines(
    store: AsyncStore, disk: Disk, loading: Loading, clock: trio.testing.MockClock
) -> None:
    await loading.start()
    disk.pass_new, disk.data = True, None
    clock.jump(DISK_TIMEOUT - 1)
    await loading.start()
    assert loading.found == [False]
    clock.jump(2)
    await settled()
    assert loading.found == [False, False]


@hanging
async def test_hanging_writes_do_not_delay_reads(
    store: AsyncStore, disk: Disk, loading: Loading, clock: trio.testing.MockClock
) -> None:
    for number in range(WRITE_THREADS + 1):
        loading.nursery.start_soon(partial(store.save, fetched_piece(number % 4), verified=False))
    await settled()
    disk.go.release()
    await loading.start()
    assert (loading.found, disk.calls) == ([True], ["read 0"])


def test_a_hang_is_logged_once_until_the_disk_answers(caplog: pytest.LogCaptureFixture) -> None:
    @hanging
    async def run(store: AsyncStore, disk: Disk, loading: Loading, clock: trio.testing.MockClock) -> None:
        for _ in range(2):
            for _ in range(2):
                for _ in range(3):
                    await loading.start()
                clock.jump(DISK_TIMEOUT + 1)
                await settled()
                clock.jump(SUSPEND)
            disk.go.set()
            await settled()
            await loading.start()
            assert loading.found[-1]
            disk.go.clear()

    with caplog.at_level(logging.WARNING, "rwmfs.read.async_store"):
        run()
    message = "the disk cache did not answer within 10 s: all reads go to S3 for now"
    assert [record.getMessage() for record in caplog.records] == [message] * 2


def test_shutdown_does_not_wait_for_the_disk() -> None:
    disk = Disk()

    async def main() -> None:
        store = AsyncStore(disk)
        disk.go.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.load, piece_of())
            nursery.start_soon(partial(store.save, fetched_piece(), verified=False))
            nursery.start_soon(store.drop, piece_of().object.id)
            await settled()
            nursery.cancel_scope.cancel()
        assert disk.calls == ["read 0"], "nothing has ended"
        disk.go.set()

    trio.run(main)
