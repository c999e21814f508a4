"""Readers of a bucket in memory, and content whose names say what it is."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from rwmfs.read.async_store import Store
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import OpenObject
from rwmfs.read.reader import Reader
from tests.unit.fakes import FakeBucket, FakeTree, entry_for

MIB = 1 << 20
DATA = random.Random(1).randbytes(40 * MIB + 12345)


def content(key: str) -> bytes:
    """``size:offset`` names any part of DATA, and so does ``data/xx/HASH``, of what ``pack`` made."""
    if key in PACKS:
        return PACKS[key]
    size, _, offset = key.partition(":")
    return DATA[int(offset or 0) :][: int(size)]


PACKS: dict[str, bytes] = {}


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
        """What a program gets that reads the object from its start to its end."""
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
    seconds: float = 60,
    disk: Store | None = None,
    state: FakeTree | None = None,
) -> AsyncIterator[Opener]:
    """A reader of the bucket with ``limit`` bytes of memory; it ends when nothing is under way any more."""
    async with trio.open_nursery() as nursery:
        counters = Counters()
        fetcher = Fetcher(bucket, counters, disk, connections, seconds)
        order = (lambda info: state.upload_order()) if state else None
        yield Opener(fetcher, limit, nursery, order)


async def settled() -> None:
    """Wait until nothing happens any more."""
    await trio.testing.wait_all_tasks_blocked(0.01)
