"""Reads return the right bytes, in few requests, within the memory limit."""

from __future__ import annotations

import threading

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.cache import BLOCK
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.reader import MAX_RANDOM_REQUESTS
from tests.unit.fakes import FakeBucket
from tests.unit.reading import (
    DATA,
    MIB,
    Opener,
    assert_each_block_fetched_once,
    content,
    identity_of,
    pack,
    reading,
    run,
    run_bounded,
    settled,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 777]),
    st.lists(
        st.lists(st.tuples(st.integers(0, 10 * MIB), st.sampled_from([1, 4096, 131072, MIB, 5 * MIB])), max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0, MIB, 3 * MIB, 64 * MIB]),
    st.sampled_from([1, 2, 16]),
    st.booleans(),
)
def test_any_reads_by_any_readers_return_the_right_bytes(
    size: int, readers: list[list[tuple[int, int]]], limit: int, connections: int, named: bool
) -> None:
    key = pack(size) if named else f"{size}:0"

    async def one(reader: Opener, reads: list[tuple[int, int]]) -> None:
        file = reader.of(key)
        for offset, count in reads:
            assert bytes(await reader.read(file, offset, count)) == DATA[:size][offset : offset + count]
        reader.close(file)

    async def main() -> None:
        async with reading(FakeBucket(content), limit, connections) as reader, trio.open_nursery() as nursery:
            for reads in readers:
                nursery.start_soon(one, reader, reads)

    trio.run(main)


def test_concurrent_reads_of_a_range_share_one_request() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(300)
        async with reading(bucket) as reader:

            async def one() -> None:
                file = reader.of("100000")
                assert bytes(await reader.read(file, 10, 20)) == DATA[10:30]

            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(one)
                await settled()
                go.set()

    assert run(main).requests == [("100000", 0, 100000)]


def test_a_small_object_is_fetched_whole_in_one_request() -> None:
    key = str(4 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            for offset in (3 * MIB, 5, 2 * MIB):
                await reader.read(reader.of(key), offset, 100)

    assert run(main).requests == [(key, 0, 4 * MIB)]


def test_random_reads_fetch_only_the_blocks_they_need() -> None:
    key = str(32 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            file = reader.of(key)
            for offset in (20, 9, 27, 3):
                await reader.read(file, offset * MIB + 5, 1000)
            assert reader.counters.fetched == 4 * BLOCK

    assert run(main).requests == [(key, start * MIB, start * MIB + BLOCK) for start in (20, 9, 27, 3)]


def test_many_random_reads_fetch_the_whole_object() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            file = reader.of(str(16 * MIB))
            for number in range(MAX_RANDOM_REQUESTS):
                await reader.read(file, (number * 5 % 16) * MIB + MIB // 2, 1000)
            before = len(bucket.requests)
            for number in range(16):
                await reader.read(file, (number * 7 % 16) * MIB, 1000)
            assert len(bucket.requests) - before < 16

    assert_each_block_fetched_once(run(main))


@pytest.mark.usefixtures("virtual_time")
def test_sequential_reads_make_few_large_requests() -> None:
    key = str(40 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            await reader.all(key, 128 * 1024)
            assert reader.counters.wasted == 0

    bucket = run(main)
    assert_each_block_fetched_once(bucket)
    assert len(bucket.requests) < 20


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize(("readers", "connections"), [(1, 1), (6, 1), (6, 2), (12, 4)])
def test_sequential_reads_make_few_requests_over_few_connections(readers: int, connections: int) -> None:
    size, step = 16 * MIB, 128 * 1024

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, connections=connections) as reader, trio.open_nursery() as nursery:
            for number in range(readers):
                nursery.start_soon(reader.all, f"{size}:{number}", step)

    bucket = run(main)
    assert_each_block_fetched_once(bucket)
    assert len(bucket.requests) <= readers * (size // MIB)


def test_a_large_read_is_fetched_by_parallel_requests() -> None:
    async def main(bucket: FakeBucket) -> None:
        barrier = threading.Barrier(4, timeout=300)
        bucket.fault = lambda *_: barrier.wait()
        async with reading(bucket, limit=0) as reader:
            assert len(await reader.read(reader.of(str(16 * MIB)), 0, 16 * MIB)) == 16 * MIB

    run(main)


def test_objects_are_fetched_whole_after_others_were_read_whole() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            for number in range(3):
                await reader.all(f"{16 * MIB}:{number}")
            bucket.requests.clear()
            await reader.read(reader.of(f"{16 * MIB}:3"), 0, 4096)
            assert sum(stop - start for _, start, stop in bucket.requests) == 16 * MIB

    run(main)


def test_parallel_requests_are_bounded_by_the_connections() -> None:
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
                nursery.start_soon(reader.read, reader.of(f"1000:{offset}"), 0, 1000)

    run(main)
    assert most == 3


def test_memory_stays_within_the_limit() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, limit=24 * MIB) as reader:
            most = 0
            for number in range(6):
                await reader.all(f"{10 * MIB}:{number}")
                most = max(most, reader.memory)
            await settled()
            assert most <= 24 * MIB
            assert reader.memory <= 24 * MIB

    run(main)


def test_a_limit_of_zero_keeps_nothing_in_memory() -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), limit=0) as reader:
            for offset in (0, BLOCK // 2, 3 * BLOCK):
                assert bytes(await reader.read(reader.of(f"{MIB}"), offset, BLOCK)) == DATA[offset:][:BLOCK]
                await settled()
                assert reader.memory == 0

    run_bounded(main)


def test_idle_memory_counts_towards_the_limit() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with trio.open_nursery() as nursery:
            reader = Opener(Fetcher(bucket, Counters()), 24 * MIB, nursery, idle=8 * MIB)
            for number in range(4):
                await reader.all(f"{5 * MIB}:{number}", close=False)
            await settled()
            assert 10 * MIB <= reader.memory <= 16 * MIB

    run(main)


def test_read_and_closed_objects_are_evicted_early() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, limit=64 * MIB) as reader:
            for number in range(6):
                await reader.all(f"{5 * MIB}:{number}")
                await settled()
                assert reader.memory <= 8 * MIB
            assert reader.counters.wasted == 0
            assert len(await reader.all(f"{5 * MIB}:0")) == 5 * MIB, "fetched again"

    run(main)


def test_pieces_are_evicted_before_a_fetch_starts() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, limit=24 * MIB) as reader:
            memory: list[int] = []
            bucket.fault = lambda *_: memory.append(reader.memory)
            for number in range(4):
                await reader.all(f"{10 * MIB}:{number}", close=False)
            await settled()
            assert reader.scheduler.prefetch(reader.of(f"{5 * MIB}:5").object.id) is False, "open"
            assert reader.scheduler.prefetch(identity_of(f"{5 * MIB}:6"))
            await settled()
            assert max(memory) <= 24 * MIB
            assert memory[-1] == reader.memory > 20 * MIB - 1

    run(main)
