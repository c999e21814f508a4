"""A reader with a disk cache: what it writes, what it trusts, what it removes."""

from __future__ import annotations

import threading

import pytest
import trio

from rwmfs.cache import StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.content_hash import ContentHash
from rwmfs.read.request_size import HITS_IN_A_ROW
from rwmfs.read.verification import WrongContent
from tests.unit.fakes import FakeBucket
from tests.unit.reading import (
    DATA,
    MIB,
    MemoryStore,
    content,
    damaged,
    fetches_ended,
    first_bit_flipped,
    identity_of,
    pack,
    reading,
    run_bounded,
    settled,
)


class SlowDisk:
    """A disk that writes the start of an object only when it was dropped, and then all the same."""

    def __init__(self) -> None:
        self.kept: set[int] = set()
        self.dropped = threading.Event()

    def read(self, object_id: ObjectId, start: int, stop: int) -> None:
        return None

    def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
        if start == 0:
            self.dropped.wait(10)
        self.kept.add(start)

    def drop(self, object_id: ObjectId) -> None:
        self.dropped.set()
        self.kept.clear()


@pytest.mark.parametrize("size", [5000, 10 * MIB])
def test_wrong_content_is_removed_from_disk_whenever_it_was_written(size: int) -> None:
    """Whether it is written before, meanwhile or never."""
    key, disk = pack(size), SlowDisk()

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, size - 1)), disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)

    trio.run(main)
    assert disk.dropped.is_set()
    assert disk.kept == set()


def test_wrong_content_is_removed_from_disk() -> None:
    key, disk = pack(8 * MIB), MemoryStore()

    async def main() -> None:
        async with reading(FakeBucket(lambda key: first_bit_flipped(content(key))), disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)
        assert not disk.kept

    run_bounded(main)


@pytest.mark.parametrize("size", [5000, 8 * MIB])
def test_wrong_content_on_disk_is_replaced(size: int) -> None:
    key, disk, bucket = pack(size), MemoryStore(), FakeBucket(content)

    async def main() -> None:
        async with reading(bucket, disk=disk) as reader:
            reader.of(key).object.require_whole()
            assert await reader.all(key) == content(key)
        async with reading(bucket, disk=disk) as reader:
            for place, data in disk.kept.items():
                disk.kept[place] = first_bit_flipped(data)
            disk.verified.clear()
            bucket.requests.clear()
            reader.of(key).object.require_whole()
            assert await reader.all(key) == content(key)
            assert bucket.requests
        for (_, start), data in disk.kept.items():
            assert data == content(key)[start:][: len(data)]

    run_bounded(main)


@pytest.mark.parametrize("size", [5000, 10 * MIB])
def test_verified_blocks_from_disk_are_not_hashed_again(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    key, disk, bucket, hashed = pack(size), MemoryStore(), FakeBucket(content), list[int]()
    original = ContentHash.update

    def update(content_hash: ContentHash, data: memoryview) -> None:
        hashed.append(len(data))
        original(content_hash, data)

    monkeypatch.setattr(ContentHash, "update", update)

    async def read() -> None:
        async with reading(bucket, disk=disk) as reader:
            reader.of(key).object.require_whole()
            assert await reader.all(key) == content(key)

    async def main() -> None:
        await read()
        assert sum(hashed) == size
        assert set(disk.kept) == disk.verified
        bucket.requests.clear()
        await read()
        assert sum(hashed) == size
        disk.verified.remove(max(disk.verified))
        await read()
        assert sum(hashed) == 2 * size, "all of it, or nothing would be proven"
        disk.kept[max(disk.kept)] = first_bit_flipped(disk.kept[max(disk.kept)])
        assert not bucket.requests
        await read()
        assert bucket.requests, "what was wrong on disk"

    run_bounded(main)


@pytest.mark.parametrize("size", [5000, 6 * MIB])
def test_objects_without_a_hash_in_their_name_are_written_as_unverified(size: int) -> None:
    disk = MemoryStore()

    async def main() -> None:
        async with reading(FakeBucket(content), disk=disk) as reader:
            assert await reader.all(str(size)) == DATA[:size]
        assert sum(map(len, disk.kept.values())) == size
        assert not disk.verified

    run_bounded(main)


def test_an_object_read_in_parts_is_hashed_also_from_disk() -> None:
    """What was vouched for may have left the memory when something comes that is not."""
    key, disk = pack(12 * MIB), MemoryStore()

    async def main() -> None:
        async with reading(FakeBucket(content), limit=8 * MIB, disk=disk) as reader:
            assert await reader.all(key) == content(key)
        last = max(disk.kept)
        disk.kept[last] = first_bit_flipped(disk.kept[last])
        disk.verified = disk.kept.keys() - {last}
        async with reading(FakeBucket(content), limit=8 * MIB, disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)

    run_bounded(main)


def test_objects_on_disk_are_read_in_large_parts() -> None:
    """They cost no round trip, so there is nothing to be had from several at once."""
    others, large = [pack(2 * MIB, offset) for offset in range(HITS_IN_A_ROW)], pack(14 * MIB, 1)
    reads: list[tuple[int, int]] = []

    class Watched(MemoryStore):
        def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
            reads.append((start, stop))
            return super().read(object_id, start, stop)

    disk = Watched()

    async def main() -> None:
        async with reading(FakeBucket(content), disk=disk) as reader:
            for key in others:
                assert await reader.all(key) == content(key)
        async with reading(FakeBucket(content), disk=disk) as reader:
            for key in others:
                assert await reader.all(key) == content(key)
            reads.clear()
            reader.of(large).object.require_whole()
            assert await reader.all(large) == content(large)
            assert reads == [(0, 14 * MIB)]

    run_bounded(main)


def test_unread_bytes_from_disk_do_not_count_as_wasted() -> None:
    key, disk = pack(MIB), MemoryStore()

    async def main() -> None:
        async with reading(FakeBucket(content), disk=disk) as reader:
            await reader.all(key)
        async with reading(FakeBucket(content), disk=disk) as reader:
            assert reader.scheduler.prefetch(identity_of(key))
            await fetches_ended(reader)
            assert reader.memory == MIB
            assert reader.unread == 0
            reader.scheduler.cancel_prefetch(identity_of(key))
            assert reader.counters.wasted == 0

    run_bounded(main)


def test_shutdown_does_not_wait_for_a_slow_disk() -> None:
    class Slow(MemoryStore):
        go = threading.Event()

        def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
            self.go.wait(30)

    async def main() -> None:
        async with reading(FakeBucket(content), disk=Slow()) as reader:
            assert await reader.all("5000") == DATA[:5000]
            await settled()
            reader.scheduler._nursery.cancel_scope.cancel()
        Slow.go.set()

    run_bounded(main)
