"""Prefetches: packs in upload order, and single objects by the scheduler."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable

import pytest
import trio

from rwm.errors import AccessDenied
from rwm.model import Entry
from rwmfs.prefetch.depth import MIN_PACKS
from rwmfs.read.reader import Reader
from tests.unit.fakes import FakeBucket, FakeTree, version_of
from tests.unit.reading import (
    MIB,
    Opener,
    assert_each_block_fetched_once,
    content,
    fetches_ended,
    identity_of,
    pack,
    reading,
    run,
    run_bounded,
    settled,
)

PACK = 2 * MIB


def packs(count: int) -> FakeTree:
    """A state of packs, in the order of their upload."""
    entries = []
    for number in range(count):
        key = pack(PACK, number)
        entries.append(Entry(key, version_of(key), PACK, "e", 1000 * number))
    return FakeTree(entries)


async def restore(reader: Reader, state: FakeTree, ranks: Iterable[int], *, settle: bool = True) -> None:
    """Open and read packs one after the other, as restic does."""
    order = state.upload_order()
    for rank in ranks:
        entry = order.entry(rank)
        assert entry is not None
        file = reader.open(entry, state.info)
        for offset in range(0, entry.size, MIB):
            assert bytes(await reader.read(file, offset, MIB)) == content(entry.key)[offset : offset + MIB]
        reader.close(file)
        if settle:
            await settled()


def test_packs_opened_in_upload_order_are_prefetched() -> None:
    state = packs(60)
    almost = [0, 1, 4, 6, 2, 5, 3, 8, 7, 9, 10, 11, 13, 12, 14, 15, 18, 19, 16, 17, 24, 21, 23, 20, 22, *range(25, 60)]

    async def main() -> None:
        async with reading(bucket := FakeBucket(content), state=state) as reader:
            await restore(reader, state, almost)
            assert reader.counters.hit_rate > 0.5
            assert reader.counters.wasted + reader.unread == 0
            assert reader.counters.fetched == 60 * PACK
            assert_each_block_fetched_once(bucket)

    trio.run(main)


def test_packs_opened_in_random_order_are_not_prefetched() -> None:
    state = packs(60)
    ranks = list(range(60))
    random.Random(5).shuffle(ranks)

    async def main() -> None:
        async with reading(FakeBucket(content), state=state) as reader:
            await restore(reader, state, ranks[:40])
            assert reader.counters.fetched <= 42 * PACK

    trio.run(main)


@pytest.mark.parametrize(("readers", "connections"), [(8, 4), (8, 16), (2, 2)])
def test_a_prefetch_that_waits_for_a_connection_is_fetched_once(readers: int, connections: int) -> None:
    """Many readers leave no connection free for prefetches."""
    state = packs(60)

    async def main(bucket: FakeBucket) -> None:
        bucket.fault = lambda *_: time.sleep(0.005)
        ranks = iter(range(60))

        async def reads(reader: Opener) -> None:
            for rank in ranks:
                await restore(reader, state, [rank], settle=False)

        async with reading(bucket, connections=connections, state=state) as reader:
            async with trio.open_nursery() as nursery:
                for _ in range(readers):
                    nursery.start_soon(reads, reader)
            assert reader.counters.fetched == 60 * PACK

    bucket = FakeBucket(content)
    trio.run(main, bucket)
    assert_each_block_fetched_once(bucket)


def test_few_bytes_are_wasted_when_the_order_ends() -> None:
    state = packs(60)

    async def main() -> None:
        async with reading(FakeBucket(content), state=state) as reader:
            await restore(reader, state, range(40))
            assert reader.unread == MIN_PACKS * PACK
            await restore(reader, state, [58, 3, 52, 11, 46])
            assert reader.counters.fetched - reader.counters.served <= 40 * PACK // 8

    trio.run(main)


def test_a_short_restore_prefetches_nothing_unused() -> None:
    state = packs(60)

    async def main() -> None:
        async with reading(FakeBucket(content), state=state) as reader:
            await restore(reader, state, range(6))
            assert reader.counters.fetched == 6 * PACK

    trio.run(main)


def test_an_object_is_buffered_once_all_of_it_is_fetched() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(10)
        async with reading(bucket) as reader:
            object_id = identity_of(f"{5 * MIB}:0")
            assert not reader.scheduler.is_buffered(object_id)
            assert reader.scheduler.prefetch(object_id)
            await settled()
            assert not reader.scheduler.is_buffered(object_id), "in flight"
            go.set()
            await fetches_ended(reader)
            assert reader.scheduler.is_buffered(object_id)
            part = reader.of(f"{40 * MIB}")
            await reader.read(part, 0, MIB)
            await fetches_ended(reader)
            assert not reader.scheduler.is_buffered(part.object.id), "only a part of it"

    run(main)


@pytest.mark.parametrize("is_started", [True, False])
def test_a_prefetched_object_is_returned_only_when_complete(is_started: bool) -> None:
    """Also if it is opened before its prefetch has started."""

    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda key, *_: go.wait(10) if key == "100" else None
        async with reading(bucket, connections=2) as reader, trio.open_nursery() as nursery:
            if not is_started:
                nursery.start_soon(reader.all, "100")
                await settled()
            object_id = identity_of(f"{5 * MIB}:0")
            assert reader.scheduler.prefetch(object_id)
            await settled()
            assert any(key == object_id.key for key, *_ in bucket.requests) is is_started
            file = reader.of(object_id.key)
            go.set()
            await reader.read(file, MIB, 1)
            await fetches_ended(reader)
            assert sum(stop - start for key, start, stop in bucket.requests if key == object_id.key) == 5 * MIB
            assert file.object.whole

    assert_each_block_fetched_once(run(main))


def test_a_failing_prefetch_is_not_repeated() -> None:
    key = pack(16 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)

        def fault(asked: str, start: int, stop: int) -> None:
            if start == 8 * MIB:
                raise AccessDenied("no")

        bucket.fault = fault
        async with reading(bucket) as reader:
            assert reader.scheduler.prefetch(identity_of(key))
            await fetches_ended(reader)
            assert len(bucket.requests) <= 4

    run_bounded(main)


@pytest.mark.parametrize("connections", [1, 2, 16])
def test_prefetched_and_cancelled_objects_leave_no_records(connections: int) -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), 8 * MIB, connections) as reader:
            for number in range(20):
                key = pack(MIB + number)
                assert reader.scheduler.prefetch(identity_of(key))
                if number % 2:
                    assert await reader.all(key) == content(key)
                else:
                    await settled()
                    reader.scheduler.cancel_prefetch(identity_of(key))
            await fetches_ended(reader)
            assert reader.memory <= 8 * MIB
            assert not reader.scheduler._prefetches
            assert all(buffered.pieces for buffered in reader._buffer)

    run_bounded(main)


def test_cancelling_a_prefetch_keeps_an_object_that_is_open() -> None:
    key = pack(MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket) as reader:
            assert reader.scheduler.prefetch(identity_of(key))
            file = reader.of(key)
            reader.scheduler.cancel_prefetch(identity_of(key))
            assert bytes(await reader.read(file, 0, MIB)) == content(key)
            assert not reader.scheduler.prefetch(identity_of(key)), "in memory"
            reader.scheduler.cancel_prefetch(identity_of(key))
            reader.close(file)
            assert await reader.all(key) == content(key)
        assert len(bucket.requests) == 1

    run_bounded(main)


def test_empty_and_huge_objects_are_not_prefetched() -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), 8 * MIB) as reader:
            reader.scheduler.prefetch(identity_of("0"))
            assert not reader.scheduler.prefetch(identity_of(f"{2 * MIB + 1}"))
            assert not list(reader._buffer)

    run_bounded(main)
