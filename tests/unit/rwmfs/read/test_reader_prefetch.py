"""A reader with a prefetcher: packs in upload order are fetched before they are opened."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache

import pytest
import trio

from rwm.model import Entry
from rwmfs.prefetch.depth import MIN_PACKS
from rwmfs.read.reader import Reader
from tests.unit.fakes import FakeBucket, FakeTree, version_of
from tests.unit.reading import (
    MIB,
    Opener,
    assert_each_block_fetched_once,
    content,
    pack,
    reading,
    settled,
)

pytestmark = pytest.mark.usefixtures("virtual_time")

PACK = 2 * MIB


@cache
def packs(count: int) -> FakeTree:
    """A state of packs, in the order of their upload."""
    entries = []
    for number in range(count):
        key = pack(PACK, number)
        entries.append(Entry(key, version_of(key), PACK, "e", 1000 * number))
    return FakeTree(entries)


async def restore(reader: Reader, state: FakeTree, ranks: Iterable[int], *, settle: bool = True) -> None:
    """Open and read packs one after the other, as restic does."""
    order = state.upload_order("")
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
