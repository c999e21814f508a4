"""Reads by block: the right bytes, few requests, each block once, failures where they belong."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import NotFound, S3Error, Unreachable
from rwmfs.cache import BLOCK, MemoryCache
from rwmfs.readahead import WINDOW, Readahead
from rwmfs.reader import AHEAD, BlockReader, ObjectId
from tests.unit.fakes import FakeBucket, version_of

DATA = random.Random(1).randbytes(40 * BLOCK + 12345)
MIB = BLOCK


def content(key: str) -> bytes:
    """``size:offset`` names any part of DATA."""
    size, _, offset = key.partition(":")
    return DATA[int(offset or 0) :][: int(size)]


def object_id(key: str) -> ObjectId:
    return ObjectId(key, version_of(key), len(content(key)))


@asynccontextmanager
async def reading(
    bucket: FakeBucket, limit: int = 256 * MIB, connections: int = 16, seconds: float = 60
) -> AsyncIterator[BlockReader]:
    async with trio.open_nursery() as nursery:
        yield BlockReader(bucket, MemoryCache(limit), nursery, connections, seconds)


def run(test: Callable[[FakeBucket], Awaitable[None]]) -> FakeBucket:
    bucket = FakeBucket(content)
    trio.run(test, bucket)
    return bucket


def no_part_twice(bucket: FakeBucket) -> None:
    blocks = [
        (key, block) for key, start, stop in bucket.requests for block in range(start // BLOCK, -(-stop // BLOCK))
    ]
    assert len(blocks) == len(set(blocks))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, 4 * BLOCK + 1, 9 * BLOCK + 777]),
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 10 * BLOCK), st.sampled_from([1, 4096, 131072, BLOCK, 5 * BLOCK])), max_size=6
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0, MIB, 3 * MIB, 64 * MIB]),
    st.sampled_from([1, 2, 16]),
)
def test_any_reads_by_any_readers_give_the_bytes(
    size: int, readers: list[list[tuple[int, int]]], limit: int, connections: int
) -> None:
    key = f"{size}:0"

    async def one(reader: BlockReader, reads: list[tuple[int, int]]) -> None:
        file = reader.open(object_id(key))
        for offset, count in reads:
            assert bytes(await reader.read(file, offset, count)) == DATA[:size][offset : offset + count]

    async def main() -> None:
        async with reading(FakeBucket(content), limit, connections) as reader, trio.open_nursery() as nursery:
            for reads in readers:
                nursery.start_soon(one, reader, reads)

    trio.run(main)


def test_readers_of_the_same_block_share_a_request() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(10)
        async with reading(bucket) as reader:

            async def one() -> None:
                file = reader.open(object_id("100000"))
                assert bytes(await reader.read(file, 10, 20)) == DATA[10:30]

            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(one)
                await trio.testing.wait_all_tasks_blocked(0.01)
                go.set()

    assert run(main).requests == [("100000", 0, 100000)]


def test_a_small_object_comes_whole_and_once() -> None:
    key = str(4 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            for offset in (3 * MIB, 5, 2 * MIB):
                await reader.read(reader.open(object_id(key)), offset, 100)

    assert run(main).requests == [(key, 0, 4 * MIB)]


def test_random_access_fetches_the_blocks_it_needs() -> None:
    key = str(32 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            file = reader.open(object_id(key))
            for offset in (20, 9, 27, 3):
                await reader.read(file, offset * MIB + 5, 1000)

    assert run(main).requests == [(key, block * MIB, (block + 1) * MIB) for block in (20, 9, 27, 3)]


def test_sequential_access_costs_few_large_requests() -> None:
    key = str(40 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            file = reader.open(object_id(key))
            for offset in range(0, 40 * MIB, 128 * 1024):
                await reader.read(file, offset, 128 * 1024)

    bucket = run(main)
    no_part_twice(bucket)
    assert len(bucket.requests) == 10
    assert all(stop - start == 4 * MIB for _, start, stop in bucket.requests)


def test_a_read_over_many_blocks_is_fetched_in_parallel() -> None:
    async def main(bucket: FakeBucket) -> None:
        barrier = threading.Barrier(4, timeout=10)
        bucket.fault = lambda *_: barrier.wait()
        async with reading(bucket, limit=0) as reader:
            assert len(await reader.read(reader.open(object_id(str(16 * MIB))), 0, 16 * MIB)) == 16 * MIB

    run(main)


def test_connections_are_bounded() -> None:
    running, most, lock = 0, 0, threading.Lock()

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.01)
            with lock:
                running -= 1

        bucket.fault = fault
        async with reading(bucket, connections=3) as reader, trio.open_nursery() as nursery:
            for offset in range(20):
                nursery.start_soon(reader.read, reader.open(object_id(f"1000:{offset}")), 0, 1000)

    run(main)
    assert most == 3


def test_a_failure_fails_those_who_wait_and_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async def main(bucket: FakeBucket) -> None:
        failures: list[S3Error] = []

        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) == 1:
                raise Unreachable("no route")

        bucket.fault = fault
        async with reading(bucket) as reader:

            async def one() -> None:
                with pytest.raises(S3Error) as caught:
                    await reader.read(reader.open(object_id("5000")), 0, 100)
                failures.append(caught.value)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)
                nursery.start_soon(one)
            assert len({id(error) for error in failures}) == 2
            assert bytes(await reader.read(reader.open(object_id("5000")), 0, 100)) == DATA[:100]

    bucket = run(main)
    assert len(bucket.requests) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot read 5000 (version {version_of('5000')}): no route"
    ]


def test_a_failure_ahead_of_a_reader_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    key = str(40 * MIB)

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            if start >= 4 * MIB and len(bucket.requests) < 4:
                raise Unreachable("no route")

        bucket.fault = fault
        async with reading(bucket) as reader:
            file = reader.open(object_id(key))
            for offset in range(0, 20 * MIB, MIB):
                assert bytes(await reader.read(file, offset, MIB)) == DATA[offset : offset + MIB]
                await trio.testing.wait_all_tasks_blocked(0.01)

    run(main)
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize("answer", [b"", b"x" * 4999, b"x" * 5001])
def test_an_answer_of_another_length_is_an_error(answer: bytes) -> None:
    async def main() -> None:
        class Liar(FakeBucket):
            def read_range(self, key: str, version_id: str, start: int, stop: int) -> bytes:
                return answer

        async with reading(Liar(content)) as reader:
            with pytest.raises(S3Error, match="5000 were asked for"):
                await reader.read(reader.open(object_id("5000")), 0, 1)

    trio.run(main)


def test_a_version_that_is_gone() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            with pytest.raises(S3Error) as caught:
                await reader.read(reader.open(ObjectId("5000", "gone", 5000)), 0, 1)
            assert isinstance(caught.value.__cause__, NotFound)

    run(main)


def test_an_unforeseen_error_fails_the_read_and_not_the_mount() -> None:
    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            raise KeyError("oops")

        bucket.fault = fault
        async with reading(bucket) as reader:
            with pytest.raises(S3Error, match="unexpected KeyError"):
                await reader.read(reader.open(object_id("5000")), 0, 1)

    run(main)


def test_a_server_that_hangs_is_left_after_a_while() -> None:
    go = threading.Event()

    async def main(bucket: FakeBucket) -> None:
        bucket.fault = lambda *_: go.wait(30)
        async with reading(bucket, seconds=0.05) as reader:
            with pytest.raises(S3Error, match="no answer within"):
                await reader.read(reader.open(object_id("5000")), 0, 1)
            go.set()
            assert bytes(await reader.read(reader.open(object_id("5001")), 0, 9)) == DATA[:9]

    run(main)


def test_a_cancelled_read_leaves_its_fetch_to_the_others() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(10)
        got: list[bytes] = []
        async with reading(bucket) as reader:

            async def other() -> None:
                got.append(bytes(await reader.read(reader.open(object_id("5000")), 5, 10)))

            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await reader.read(reader.open(object_id("5000")), 0, 1)
                nursery.start_soon(other)
                await trio.testing.wait_all_tasks_blocked(0.01)
                go.set()
            assert got == [DATA[5:15]]
        assert len(bucket.requests) == 1

    run(main)


def test_the_end_of_the_mount_does_not_wait_for_a_hung_server() -> None:
    go = threading.Event()

    async def main(bucket: FakeBucket) -> None:
        bucket.fault = lambda *_: go.wait(30)
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                reader = BlockReader(bucket, MemoryCache(MIB), nursery)
                nursery.start_soon(reader.read, reader.open(object_id("5000")), 0, 1)
                await trio.testing.wait_all_tasks_blocked(0.01)
                nursery.cancel_scope.cancel()

    run(main)
    go.set()


def test_readahead_of_a_whole_object_is_the_limit_in_whole_windows() -> None:
    run = Readahead(AHEAD)
    ends = [run.wanted(block * MIB, (block + 1) * MIB, 100) for block in range(60)]
    assert ends[0] == AHEAD
    assert ends == sorted(ends)
    assert all(end % WINDOW == 0 for end in ends)
    assert max(end - block for block, end in enumerate(ends)) == AHEAD + 1
    assert run.wanted(60 * MIB, 61 * MIB, 63) == 63


def test_readahead_in_the_middle_grows_with_the_run() -> None:
    run = Readahead(AHEAD)
    assert run.wanted(50 * MIB, 50 * MIB + 1000, 100) == 51
    assert run.wanted(50 * MIB + 1000, 50 * MIB + 2000, 100) == 51
    assert run.wanted(50 * MIB + 2000, 51 * MIB, 100) == 52
    assert run.wanted(51 * MIB, 52 * MIB, 100) == 56
    assert run.wanted(52 * MIB, 54 * MIB, 100) == 68
    assert run.wanted(20 * MIB, 20 * MIB + 1, 100) == 21


def test_a_small_cache_is_not_read_ahead_of() -> None:
    run = Readahead(0)
    assert [run.wanted(block * MIB, (block + 1) * MIB, 100) for block in range(9)] == list(range(1, 10))
