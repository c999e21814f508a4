"""Many concurrent readers with failures, cancelled reads, wrong content and little memory.

Every read ends, returns the right bytes or an error, and leaves no records behind.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress

import pytest
import trio

from rwm.errors import AccessDenied, BadResponse, NotFound, S3Error, Unreachable
from rwm.model import Entry
from rwmfs.cache import BLOCK, StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.reader import SMALL, Reader
from rwmfs.read.verification import WrongContent
from tests.unit.fakes import FakeBucket, entry_for
from tests.unit.reading import MIB, Opener, content, pack, reading, settled

SIZES = [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK, MIB - 1, 4 * MIB, 4 * MIB + 1, 5 * MIB, 8 * MIB, 9 * MIB + 777]
FAULTS = [AccessDenied("no"), NotFound("gone"), Unreachable("no route"), BadResponse("nonsense"), KeyError("oops")]


class Disk:
    """A BlockStore that loses some blocks. Its content of the keys in ``wrong`` is wrong."""

    def __init__(self, seed: int, wrong: set[str]) -> None:
        self._random = random.Random(seed)
        self._ranges: dict[tuple[ObjectId, int, int], StoredRange] = {}
        self._wrong = wrong
        self._lock = threading.Lock()

    def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
        time.sleep(self._random.random() * 0.002)
        with self._lock:
            if object_id.key in self._wrong:
                return StoredRange(memoryview(bytes(stop - start)), False)
            return self._ranges.get((object_id, start, stop)) if self._random.random() < 0.8 else None

    def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
        time.sleep(self._random.random() * 0.005)
        with self._lock:
            self._ranges[(object_id, start, start + len(data))] = StoredRange(memoryview(bytes(data)), verified)

    def drop(self, object_id: ObjectId) -> None:
        with self._lock:
            self._wrong.discard(object_id.key)
            self._ranges = {key: found for key, found in self._ranges.items() if key[0] != object_id}


class Trouble:
    """A bucket that fails at times, and at times returns wrong content for packs of at most ``verifiable`` bytes.

    Once ``calm`` is set it does neither.
    """

    def __init__(self, seed: int, verifiable: int) -> None:
        self.random = random.Random(seed)
        self.bucket = FakeBucket(self._content)
        self.bucket.fault = self._fault
        self._verifiable = verifiable
        self.calm = False

    def _fault(self, key: str, start: int, stop: int) -> None:
        time.sleep(self.random.random() * 0.004)
        if not self.calm and self.random.random() < 0.15:
            raise self.random.choice(FAULTS)

    def _content(self, key: str) -> bytes:
        data = content(key)
        if self.calm or not key.startswith("data/") or len(data) > self._verifiable or self.random.random() > 0.2:
            return data
        wrong = bytearray(data)
        wrong[self.random.randrange(len(data))] ^= 1
        return bytes(wrong)


async def use(reader: Opener, keys: list[str], chance: random.Random) -> None:
    """Open an object, read it at random or from start to end, cancel some reads, close it."""
    for _ in range(4):
        key = chance.choice(keys)
        file, data, offset = reader.of(key), content(key), 0
        for _ in range(chance.randrange(1, 8)):
            size = chance.choice([1, 4096, BLOCK, 128 * 1024, MIB, 5 * MIB])
            if chance.random() < 0.4:
                offset = chance.randrange(len(data) + 2)
            patience = chance.choice([0.0, 0.001, 0.01]) if chance.random() < 0.2 else float("inf")
            with trio.move_on_after(patience):
                try:
                    assert bytes(await reader.read(file, offset, size)) == data[offset : offset + size]
                except S3Error:
                    continue
                offset += size
        reader.close(file)


async def prefetch(reader: Opener, keys: list[str], chance: random.Random) -> None:
    """Prefetch objects and cancel prefetches at random."""
    for _ in range(12):
        key = chance.choice(keys)
        object_id = identity_of(entry_for(key, len(content(key))))
        if chance.random() < 0.6:
            reader.scheduler.prefetch(object_id)
        else:
            reader.scheduler.cancel_prefetch(object_id)
        await trio.sleep(chance.random() * 0.02)


def identity_of(entry: Entry) -> ObjectId:
    return ObjectId(entry.key, entry.version_id, entry.size, entry.etag)


def assert_clean(reader: Reader) -> None:
    """Nothing is in flight or pinned, and all sizes add up."""
    buffer = reader._buffer
    pieces = {piece for buffered in buffer for piece in buffered.pieces.values()}
    assert reader.running == 0
    assert reader.memory == sum(len(piece) for piece in pieces) <= buffer.limit
    assert all(piece in buffer and piece.data is not None and not piece.pins for piece in pieces)
    assert buffer.has_room(buffer.limit), "all pieces are evictable"
    assert all(buffered.pieces and not buffered.handles for buffered in buffer)
    assert not any(buffered.content_hash.running for buffered in buffer)
    assert not reader.scheduler._prefetches


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 12))])
def test_all_reads_end_with_right_bytes_or_an_error(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwmfs.read.fetcher._backoff", lambda: iter([0.001] * 1000))
    chance = random.Random(seed)
    limit = chance.choice([0, BLOCK, MIB, 3 * MIB, 16 * MIB, 64 * MIB])
    keys = [pack(size, number) if number % 3 else f"{size}:{number}" for number, size in enumerate(SIZES)]
    trouble = Trouble(seed, min(SMALL, limit // 4))
    disk = Disk(seed, {chance.choice(keys)} if limit >= 16 * MIB else set()) if chance.random() < 0.6 else None
    if disk:
        disk._wrong = {key for key in disk._wrong if key.startswith("data/") and len(content(key)) <= SMALL}

    async def main() -> None:
        with trio.fail_after(120):  # a read that hangs
            async with reading(trouble.bucket, limit, chance.choice([1, 2, 4, 16]), disk=disk) as reader:
                async with trio.open_nursery() as nursery:
                    for _ in range(chance.choice([2, 8])):
                        nursery.start_soon(use, reader, keys, random.Random(chance.random()))
                    nursery.start_soon(prefetch, reader, keys, random.Random(chance.random()))
                for key in keys:
                    reader.scheduler.cancel_prefetch(identity_of(entry_for(key, len(content(key)))))
                while reader.running:
                    await trio.sleep(0.001)
                await settled()
                assert_clean(reader)
                trouble.calm = True
                for key in keys:
                    assert await reader.all(key) == content(key), "earlier failures do not persist"
            assert_clean(reader)

    trio.run(main)


@pytest.mark.parametrize("seed", range(6))
def test_shutdown_during_reads(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwmfs.read.fetcher._backoff", lambda: iter([0.001] * 1000))
    chance = random.Random(seed)
    keys = [pack(size, number) for number, size in enumerate(SIZES)]

    async def main() -> None:
        with trio.fail_after(60):
            async with (
                reading(Trouble(seed, 0).bucket, 16 * MIB, 4, disk=Disk(seed, set())) as reader,
                trio.open_nursery() as nursery,
            ):
                for _ in range(4):
                    nursery.start_soon(use, reader, keys, random.Random(chance.random()))
                await trio.sleep(chance.random() * 0.1)
                reader.scheduler._nursery.cancel_scope.cancel()
            assert reader.running == 0
            pieces = {piece for buffered in reader._buffer for piece in buffered.pieces.values()}
            assert reader.memory == sum(len(piece) for piece in pieces)
            assert all(piece.data is not None for piece in pieces)

    trio.run(main)


def test_concurrent_readers_of_wrong_content_all_end() -> None:
    """Some read the object from start to end, others only a part of it."""
    key = pack(8 * MIB)

    def wrong(asked: str) -> bytes:
        return content(asked)[:-1] + b"\xff"

    async def one(reader: Opener, wait: float) -> None:
        await trio.sleep(wait)
        file = reader.of(key)
        with suppress(WrongContent):  # raised only if the object is fetched whole: this part is right
            await reader.read(file, 6 * MIB, MIB)
        reader.close(file)

    async def main() -> None:
        for seed in range(20):
            chance = random.Random(seed)
            async with reading(FakeBucket(wrong)) as reader:
                with trio.fail_after(60):
                    async with trio.open_nursery() as nursery:
                        for _ in range(6):
                            nursery.start_soon(one, reader, chance.random() * 0.02)
                        await trio.sleep(chance.random() * 0.02)
                        with pytest.raises(WrongContent):
                            await reader.all(key)

    trio.run(main)
