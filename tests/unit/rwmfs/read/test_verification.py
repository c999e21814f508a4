"""Wrong content: what is returned, what is fetched again, what open handles and the kernel get."""

from __future__ import annotations

import threading

import pytest
import trio

import rwmfs.read.pieces as pieces_module
import rwmfs.read.reader as reader_module
from rwmfs.read.content_hash import ContentHash
from rwmfs.read.open_object import OpenObject
from rwmfs.read.pieces import Piece
from rwmfs.read.verification import WrongContent
from tests.unit.fakes import FakeBucket, entry_for
from tests.unit.reading import (
    DATA,
    MIB,
    Opener,
    content,
    damaged,
    first_bit_flipped,
    pack,
    reading,
    run_bounded,
    settled,
)


@pytest.mark.parametrize("size", [1, 5000, 4 * MIB])
def test_no_byte_of_a_small_object_with_wrong_content_is_returned(size: int, caplog: pytest.LogCaptureFixture) -> None:
    key = pack(size)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, size - 1))) as reader:
            with pytest.raises(WrongContent):
                await reader.read(reader.of(key), 0, 1)
            assert reader.counters.served == 0
            assert reader.memory == 0

    trio.run(main)
    assert f"wrong content: {key}" in caplog.text


def test_wrong_content_is_fetched_again_once() -> None:
    key = pack(5000)

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 17))

        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) == 2:
                bucket.content = content

        bucket.fault = fault
        async with reading(bucket) as reader:
            assert await reader.all(key) == content(key)
        assert len(bucket.requests) == 2

    trio.run(main)


def test_a_late_reader_never_gets_discarded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces are there, and found to be wrong before the reader continues."""
    key, wait_done = pack(5000), pieces_module.wait_done

    async def wait_late(pieces: list[Piece]) -> None:
        await wait_done(pieces)
        await settled()

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 17))

        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) == 2:
                bucket.content = content

        bucket.fault = fault
        monkeypatch.setattr(reader_module, "wait_done", wait_late)
        async with reading(bucket) as reader, trio.open_nursery() as nursery:
            got: list[bytes] = []

            async def one() -> None:
                got.append(await reader.all(key))

            for _ in range(3):
                nursery.start_soon(one)
        assert got == [content(key)] * 3

    trio.run(main)


def test_a_waiting_read_fetches_again_when_its_pieces_are_discarded() -> None:
    """Several wait for the same wrong pieces; once the first has detected that, the others do not use them."""
    key = pack(8 * MIB)

    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)

        def fault(asked: str, start: int, stop: int) -> None:
            bucket.content = (lambda name: first_bit_flipped(content(name))) if len(bucket.requests) <= 2 else content
            if start:
                go.wait(300)

        bucket.fault = fault
        async with reading(bucket) as reader:
            got: list[bytes] = []

            async def one() -> None:
                got.append(bytes(await reader.read(reader.of(key), 0, 2 * MIB)))

            reader.of(key).object.require_whole()
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(one)
                await settled()
                go.set()
            assert got == [content(key)[: 2 * MIB]] * 10

    run_bounded(main)


@pytest.mark.parametrize("offset", [0, 5 * MIB, 10 * MIB - 1])
def test_a_sequential_read_of_wrong_content_fails_before_the_end(offset: int) -> None:
    key = pack(10 * MIB)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, offset))) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)
            assert reader.counters.served < 10 * MIB

    trio.run(main)


def test_no_byte_of_a_whole_object_with_wrong_content_is_returned() -> None:
    key = pack(10 * MIB, 7)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, 9 * MIB))) as reader:
            for number in range(3):
                await reader.all(pack(10 * MIB, number))
            served = reader.counters.served
            with pytest.raises(WrongContent):
                await reader.read(reader.of(key), 0, 4096)
            assert reader.counters.served == served

    trio.run(main)


def test_a_partial_read_cannot_be_verified() -> None:
    key = pack(10 * MIB)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, 9 * MIB))) as reader:
            assert bytes(await reader.read(reader.of(key), 5 * MIB, 100)) == DATA[5 * MIB :][:100]

    trio.run(main)


def test_an_evicted_object_is_verified_again() -> None:
    key = pack(3 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket, limit=12 * MIB) as reader:
            assert await reader.all(key) == content(key)
            for number in range(4):
                await reader.all(pack(3 * MIB, number + 1))
            bucket.content = damaged(key, 2 * MIB)
            with pytest.raises(WrongContent):
                await reader.all(key)

    trio.run(main)


def test_an_evicted_start_that_is_wrong_when_fetched_again_fails_verification() -> None:
    """The start of an object is read and evicted; then the whole object is read, and its start is wrong now."""
    key = pack(8 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket, limit=16 * MIB) as reader:
            assert bytes(await reader.read(reader.of(key), 0, 2 * MIB)) == content(key)[: 2 * MIB]
            await settled()
            await reader.all(f"{20 * MIB}:1")
            bucket.content = lambda key: first_bit_flipped(content(key))
            with pytest.raises(WrongContent):
                await reader.all(key)

    run_bounded(main)


def test_reads_do_not_outrun_the_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that is evicted before it is hashed would leave the object without a verdict."""
    key, go = pack(12 * MIB), threading.Event()

    original = ContentHash.update

    def update(content_hash: ContentHash, data: memoryview) -> None:
        go.wait(300)
        original(content_hash, data)

    monkeypatch.setattr(ContentHash, "update", update)

    async def main() -> None:
        bucket = FakeBucket(lambda key: first_bit_flipped(content(key)))
        async with reading(bucket, limit=8 * MIB) as reader, trio.open_nursery() as nursery:
            nursery.start_soon(fails, reader)
            while not reader.counters.served:
                await trio.sleep(0.01)
            await trio.sleep(0.1)
            assert reader.counters.served < 8 * MIB
            go.set()

    async def fails(reader: Opener) -> None:
        with pytest.raises(WrongContent):
            await reader.all(key)

    run_bounded(main)


def test_handles_open_at_a_mismatch_fail_and_later_ones_succeed() -> None:
    """The kernel repeats a failed read for a page or two."""
    key = pack(10 * MIB)

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 5 * MIB))
        async with reading(bucket) as reader:
            file, beside = reader.of(key), reader.of(key)
            with pytest.raises(WrongContent):
                await read_to_end(reader, file)
            bucket.content = content
            for handle, offset in [(file, 10 * MIB - 4096), (file, 0), (beside, 10 * MIB - 4096)]:
                with pytest.raises(WrongContent):
                    await reader.read(handle, offset, 4096)
            assert reader.counters.failed == 4
            assert await reader.all(key) == content(key)

    trio.run(main)


async def read_to_end(reader: Opener, file: OpenObject) -> None:
    for offset in range(0, file.object.id.size, MIB):
        await reader.read(file, offset, MIB)


def test_the_kernel_may_keep_only_verified_pages() -> None:
    """``keep_cache`` says at the next open whether the kernel may keep its cached pages."""
    key, small, unnamed = pack(10 * MIB), pack(5000), str(5 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket) as reader:

            def open_inode(key: str, inode: int) -> OpenObject:
                return reader.open(entry_for(key, len(content(key))), inode=inode)

            for inode, name in enumerate([key, small, unnamed]):
                file = open_inode(name, inode)
                assert file.keep_cache, "the kernel has nothing yet"
                await reader.read(file, 0, 1000)
            keeps = [open_inode(name, inode).keep_cache for inode, name in enumerate([key, small, unnamed])]
            assert keeps == [False, True, True]
            assert open_inode(key, 0).keep_cache, "nothing was read since the last open"
            await read_to_end(reader, open_inode(key, 0))
            await reader.read(open_inode(key, 10), 5 * MIB, 1000)
            assert open_inode(key, 0).keep_cache and open_inode(key, 10).keep_cache, "verified from start to end"

    trio.run(main)


def test_the_kernel_may_not_keep_wrong_pages() -> None:
    key = pack(10 * MIB)

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 5 * MIB))
        async with reading(bucket) as reader:
            file = reader.of(key)
            with pytest.raises(WrongContent):
                await read_to_end(reader, file)
            assert not reader.of(key).keep_cache

    trio.run(main)


def test_wrong_content_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    key = pack(5000)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, 17))) as reader:
            file = reader.of(key)
            for _ in range(2):
                with pytest.raises(WrongContent):
                    await reader.read(file, 0, 4096)

    trio.run(main)
    assert len(caplog.records) == 1
