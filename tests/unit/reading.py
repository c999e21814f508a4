"""Readers of a bucket in memory, and content determined by the key."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from rwmfs.cache import BLOCK, BlockStore, StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import OpenObject
from rwmfs.read.reader import Reader
from tests.unit.fakes import FakeBucket, FakeTree, entry_for

MIB = 1 << 20
DATA = random.Random(1).randbytes(40 * MIB + 12345)


def content(key: str) -> bytes:
    """The content of a key: ``size:offset`` is a part of DATA, ``data/xx/HASH`` what ``pack`` made."""
    if key in PACKS:
        return PACKS[key]
    size, _, offset = key.partition(":")
    return DATA[int(offset or 0) :][: int(size)]


PACKS: dict[str, bytes] = {}
SETTLE_ROUNDS = 100


def pack(size: int, offset: int = 0) -> str:
    """The key of a pack, whose name is the hash of its content."""
    part = DATA[offset:][:size]
    name = hashlib.sha256(part).hexdigest()
    key = f"data/{name[:2]}/{name}"
    PACKS[key] = part
    return key


class Opener(Reader):
    """Opens by key."""

    def of(self, key: str) -> OpenObject:
        return self.open(entry_for(key, len(content(key))))

    async def all(self, key: str, step: int = MIB, *, close: bool = True) -> bytes:
        """Open an object, read it from start to end in steps of ``step`` bytes, close it."""
        file, parts, offset = self.of(key), list[bytes | memoryview](), 0
        while part := await self.read(file, offset, step):
            parts.append(part)
            offset += len(part)
        if close:
            self.close(file)
        return b"".join(parts)


@asynccontextmanager
async def reading(
    bucket: FakeBucket,
    limit: int = 256 * MIB,
    connections: int = 16,
    timeout: float = 60,
    disk: BlockStore | None = None,
    state: FakeTree | None = None,
) -> AsyncIterator[Opener]:
    """A reader of the bucket with ``limit`` bytes of memory; leaving waits for all its tasks."""
    async with trio.open_nursery() as nursery:
        counters = Counters()
        fetcher = Fetcher(bucket, counters, disk, connections, timeout)
        order = (lambda info, root: state.upload_order(root)) if state else None
        yield Opener(fetcher, limit, nursery, order)


async def settled() -> None:
    """Wait until all tasks are blocked and all threads sleep; in virtual time, until tasks have nothing left to do.

    A thread that polls never sleeps for long: it is left after about a second.
    """
    clock = trio.lowlevel.current_clock()
    if isinstance(clock, trio.testing.MockClock) and clock.autojump_threshold == 0:
        await trio.sleep(10)
        return
    for _ in range(SETTLE_ROUNDS):
        before = _threads()
        await trio.testing.wait_all_tasks_blocked(0.01)
        if before == _threads() and all(state == "S" for state, _ in before.values()):
            return


def _threads() -> dict[str, tuple[str, int]]:
    """State and number of context switches of each other thread, from proc(5)."""
    own, found = str(threading.get_native_id()), {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            status = (task / "status").read_text()
            switches = sum(int(number) for number in re.findall(r"ctxt_switches:\s+(\d+)", status))
            found[task.name] = (re.findall(r"State:\s+(\w)", status)[0], switches)
    found.pop(own, None)
    return found


async def fetches_ended(reader: Reader) -> None:
    """Wait until no fetch is under way."""
    while reader.running:
        await settled()


def run(test: Callable[[FakeBucket], Awaitable[None]], clock: trio.testing.MockClock | None = None) -> FakeBucket:
    """Run a test with a bucket; the bucket knows afterwards which requests were made."""
    bucket = FakeBucket(content)
    if clock is None:
        trio.run(test, bucket)
    else:
        trio.run(test, bucket, clock=clock)
    return bucket


def run_bounded(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test; a read that hangs fails it."""

    async def bounded() -> None:
        with trio.fail_after(60):
            await main()

    trio.run(bounded)


def assert_each_block_fetched_once(bucket: FakeBucket) -> None:
    """No block of any object was requested twice."""
    blocks = [
        (key, block) for key, start, stop in bucket.requests for block in range(start // BLOCK, -(-stop // BLOCK))
    ]
    assert len(blocks) == len(set(blocks))


def identity_of(key: str) -> ObjectId:
    """The object version that a reader opens for a key."""
    entry = entry_for(key, len(content(key)))
    return ObjectId(entry.key, entry.version_id, entry.size, entry.etag)


def damaged(key: str, position: int) -> Callable[[str], bytes]:
    """The content of all objects, with one wrong byte in one of them."""

    def wrong(asked: str) -> bytes:
        data = bytearray(content(asked))
        if asked == key:
            data[position] ^= 1
        return bytes(data)

    return wrong


def first_bit_flipped(data: bytes) -> bytes:
    """The data with one bit of its first byte inverted."""
    return bytes([data[0] ^ 1]) + data[1:]


class MemoryStore:
    """A BlockStore in memory, unbounded and without checksums.

    ``ranges`` are the written ranges by object and start, ``verified`` the keys of those that were written as verified.
    """

    def __init__(self) -> None:
        self.ranges: dict[tuple[ObjectId, int], bytes] = {}
        self.verified: set[tuple[ObjectId, int]] = set()

    def read(self, object_id: ObjectId, start: int, stop: int) -> StoredRange | None:
        """The range, if it was written in one piece."""
        data = self.ranges.get((object_id, start))
        if data is None or len(data) != stop - start:
            return None
        return StoredRange(memoryview(data), (object_id, start) in self.verified)

    def write(self, object_id: ObjectId, start: int, data: memoryview, *, verified: bool) -> None:
        """Keep a copy."""
        self.ranges[(object_id, start)] = bytes(data)
        (self.verified.add if verified else self.verified.discard)((object_id, start))

    def drop(self, object_id: ObjectId) -> None:
        """Remove all of an object."""
        self.ranges = {key: data for key, data in self.ranges.items() if key[0] != object_id}
