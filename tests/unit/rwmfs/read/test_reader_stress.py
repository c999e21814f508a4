"""Many readers at once, with failures, cancelled reads, wrong content and too little memory: whatever is read is right,
every read ends, and in the end nothing is left behind.
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
    """Keeps some of what it is given, and loses some of it again. What it has of ``wrong`` is wrong."""

    def __init__(self, seed: int, wrong: set[str]) -> None:
        self._random = random.Random(seed)
        self._kept: dict[tuple[ObjectId, int, int], StoredRange] = {}
        self._wrong = wrong
        self._lock = threading.Lock()

    def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
        time.sleep(self._random.random() * 0.002)
        with self._lock:
            if object_id.key in self._wrong:
                return StoredRange(memoryview(bytes(stop - start)), False)
            return self._kept.get((object_id, start, stop)) if self._random.random() < 0.8 else None

    def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
        time.sleep(self._random.random() * 0.005)
        with self._lock:
            self._kept[(object_id, start, start + len(data))] = StoredRange(memoryview(bytes(data)), verified)

    def drop(self, object_id: ObjectId) -> None:
        with self._lock:
            self._wrong.discard(object_id.key)
            self._kept = {kept: data for kept, data in self._kept.items() if kept[0] != object_id}


class Trouble:
    """A bucket that fails now and then, and whose content is wrong now and then where the name can prove it."""

    def __init__(self, seed: int, proven: int) -> None:
        self.random = random.Random(seed)
        self.bucket = FakeBucket(self._content)
        self.bucket.fault = self._fault
        self._proven = proven
        self.calm = False

    def _fault(self, key: str, start: int, stop: int) -> None:
        time.sleep(self.random.random() * 0.004)
        if not self.calm and self.random.random() < 0.15:
            raise self.random.choice(FAULTS)

    def _content(self, key: str) -> bytes:
        data = content(key)
        if self.calm or not key.startswith("data/") or len(data) > self._proven or self.random.random() > 0.2:
            return data
        wrong = bytearray(data)
        wrong[self.random.randrange(len(data))] ^= 1
        return bytes(wrong)


async def use(reader: Opener, keys: list[str], chance: random.Random) -> None:
    """Open an object, read here and there or from end to end, give up now and then, close it."""
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


async def expect(reader: Opener, keys: list[str], chance: random.Random) -> None:
    """Foretell objects, rightly or wrongly."""
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
    """Nothing is under way, nobody waits, and what is here is what is accounted for."""
    buffer = reader._buffer
    pieces = {piece for held in buffer for piece in held.pieces.values()}
    assert reader.running == 0
    assert reader.memory == sum(len(piece) for piece in pieces) <= buffer.limit
    assert all(piece in buffer and piece.data is not None and not piece.pins for piece in pieces)
    assert buffer.has_room(buffer.limit), "all of it may leave"
    assert all(held.pieces and not held.handles and not held.content_hash.running for held in buffer)
    assert not reader.scheduler._prefetches


@pytest.mark.parametrize("seed", range(24))
def test_whatever_happens_reads_are_right_and_end_and_leave_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
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
                    nursery.start_soon(expect, reader, keys, random.Random(chance.random()))
                for key in keys:
                    reader.scheduler.cancel_prefetch(identity_of(entry_for(key, len(content(key)))))
                while reader.running:
                    await trio.sleep(0.001)
                await settled()
                assert_clean(reader)
                trouble.calm = True
                for key in keys:
                    assert await reader.all(key) == content(key), "what failed before does not fail for ever"
            assert_clean(reader)

    trio.run(main)


@pytest.mark.parametrize("seed", range(6))
def test_a_mount_that_ends_meanwhile_ends(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
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
            pieces = {piece for held in reader._buffer for piece in held.pieces.values()}
            assert reader.memory == sum(len(piece) for piece in pieces)
            assert all(piece.data is not None for piece in pieces)

    trio.run(main)


def test_readers_of_wrong_content_all_get_an_error_however_they_come_together() -> None:
    """Some read it from end to end, some decide meanwhile that it is fetched whole: nobody is left waiting."""
    key = pack(8 * MIB)

    def wrong(asked: str) -> bytes:
        return content(asked)[:-1] + b"\xff"

    async def one(reader: Opener, wait: float) -> None:
        await trio.sleep(wait)
        file = reader.of(key)
        with suppress(WrongContent):  # what is wrong is elsewhere, unless all of it is fetched
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
