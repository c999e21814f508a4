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
    """A BlockStore that finishes the write of an object's start only after its drop, and writes it nevertheless."""

    def __init__(self) -> None:
        self.written: set[int] = set()
        self.dropped = threading.Event()

    def read(self, object_id: ObjectId, start: int, stop: int) -> None:
        return None

    def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
        if start == 0:
            self.dropped.wait(300)
        self.written.add(start)

    def drop(self, object_id: ObjectId) -> None:
        self.dropped.set()
        self.written.clear()


@pytest.mark.parametrize("size", [5000, 10 * MIB])
def test_wrong_content_is_removed_from_disk_whenever_it_was_written(size: int) -> None:
    """Whether it is written before the mismatch, during its discovery, or not at all."""
    key, disk = pack(size), SlowDisk()

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, size - 1)), disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)

    trio.run(main)
    assert disk.dropped.is_set()
    assert disk.written == set()


def test_wrong_content_is_removed_from_disk() -> None:
    key, disk = pack(8 * MIB), MemoryStore()

    async def main() -> None:
        async with reading(FakeBucket(lambda key: first_bit_flipped(content(key))), disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)
        assert not disk.ranges

    run_bounded(main)


@pytest.mark.parametrize("size", [5000, 8 * MIB])
def test_wrong_content_on_disk_is_replaced(size: int) -> None:
    key, disk, bucket = pack(size), MemoryStore(), FakeBucket(content)

    async def main() -> None:
        async with reading(bucket, disk=disk) as reader:
            reader.of(key).object.require_whole()
            assert await reader.all(key) == content(key)
        async with reading(bucket, disk=disk) as reader:
            for key_and_start, data in disk.ranges.items():
                disk.ranges[key_and_start] = first_bit_flipped(data)
            disk.verified.clear()
            bucket.requests.clear()
            reader.of(key).object.require_whole()
            assert await reader.all(key) == content(key)
            assert bucket.requests
        for (_, start), data in disk.ranges.items():
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
        assert set(disk.ranges) == disk.verified
        bucket.requests.clear()
        await read()
        assert sum(hashed) == size
        disk.verified.remove(max(disk.verified))
        await read()
        assert sum(hashed) == 2 * size, "all bytes, or there would be no verdict"
        disk.ranges[max(disk.ranges)] = first_bit_flipped(disk.ranges[max(disk.ranges)])
        assert not bucket.requests
        await read()
        assert bucket.requests, "for the wrong block on disk"

    run_bounded(main)


@pytest.mark.parametrize("size", [5000, 6 * MIB])
def test_objects_without_a_hash_in_their_name_are_written_as_unverified(size: int) -> None:
    disk = MemoryStore()

    async def main() -> None:
        async with reading(FakeBucket(content), disk=disk) as reader:
            assert await reader.all(str(size)) == DATA[:size]
        assert sum(map(len, disk.ranges.values())) == size
        assert not disk.verified

    run_bounded(main)


def test_an_object_read_in_parts_is_hashed_also_from_disk() -> None:
    """Skipped pieces may be evicted by the time an unverified one requires all of them to be hashed."""
    key, disk = pack(12 * MIB), MemoryStore()

    async def main() -> None:
        async with reading(FakeBucket(content), limit=8 * MIB, disk=disk) as reader:
            assert await reader.all(key) == content(key)
        last = max(disk.ranges)
        disk.ranges[last] = first_bit_flipped(disk.ranges[last])
        disk.verified = disk.ranges.keys() - {last}
        async with reading(FakeBucket(content), limit=8 * MIB, disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)

    run_bounded(main)


def test_objects_on_disk_are_read_in_large_parts() -> None:
    """A read from disk has no round trip, so parallel small reads have no advantage."""
    others, large = [pack(2 * MIB, offset) for offset in range(HITS_IN_A_ROW)], pack(14 * MIB, 1)
    reads: list[tuple[int, int]] = []

    class RecordingStore(MemoryStore):
        def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
            reads.append((start, stop))
            return super().read(object_id, start, stop)

    disk = RecordingStore()

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
    class SlowStore(MemoryStore):
        go = threading.Event()

        def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
            self.go.wait(300)

    async def main() -> None:
        async with reading(FakeBucket(content), disk=SlowStore()) as reader:
            assert await reader.all("5000") == DATA[:5000]
            await settled()
            reader.scheduler._nursery.cancel_scope.cancel()
        SlowStore.go.set()

    run_bounded(main)
