"""What was read stays in memory: blocks of object versions, the least recently used leave first. Pure.

An object version never changes, so a block is never stale and needs no check; the key holds the version id.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, Protocol

BLOCK = 1024 * 1024
"""Bytes of a block, the unit of the cache. The last block of an object is shorter."""


class BlockId(NamedTuple):
    """A block of an object version. ``block`` counts from 0."""

    bucket: str
    key: str
    version_id: str
    block: int


class BlockCache(Protocol):
    """A place for blocks. It may forget any block at any time, and never gives another block or a part of one."""

    limit: int

    def get(self, block: BlockId) -> bytes | None:
        """The whole block, or None."""

    def put(self, block: BlockId, data: bytes) -> None:
        """Offer a whole block; an object version's block has the same content whenever it is put."""


class MemoryCache:
    """A BlockCache of at most ``limit`` bytes of content. Used from one thread only."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._blocks: OrderedDict[BlockId, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def get(self, block: BlockId) -> bytes | None:
        """The block, now the most recently used; None if it is not here."""
        data = self._blocks.get(block)
        if data is not None:
            self._blocks.move_to_end(block)
        return data

    def put(self, block: BlockId, data: bytes) -> None:
        """Keep the block, and let go of the least recently used ones that no longer fit beside it."""
        if len(data) > self.limit:
            return
        known = self._blocks.pop(block, None)
        if known is not None:
            self.size -= len(known)
        self._blocks[block] = data
        self.size += len(data)
        while self.size > self.limit:
            _, dropped = self._blocks.popitem(last=False)
            self.size -= len(dropped)
