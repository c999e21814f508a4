"""The deletions of a plan in a private file of compressed lines: memory stays small, and any part can be read."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
import zlib
from array import array
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from rwm.errors import SpoolFull
from rwm.private import open_spool
from rwm.prune.key_plan import Deletion
from rwm.times import LAST_TIME
from rwm.trust import SUCCEEDED, Kind

BLOCK = 128
"""Deletions that are compressed together: enough to compress well, and few to hold for each cursor."""

_GZIP = zlib.MAX_WBITS + 16  # each block is a member of a gzip file
_FASTEST = 1
_BITS = 40  # of a position
_CACHED_BLOCKS = 64


@contextmanager
def spool_errors() -> Iterator[None]:
    """Raise SpoolFull for errors of the operating system."""
    try:
        yield
    except OSError as error:
        raise SpoolFull(
            f"the file for the plan cannot be written: {error.strerror}",
            hint="set TMPDIR to a directory with more room; nothing was deleted",
        ) from error


class Stage(IntEnum):
    """The order of execution: a stage begins when the one before it has ended.

    Versions go before the markers that hide them. Indexes, key files and locks go after everything that the audit
    judges by them, so that it finds no proof in a bucket whose prune was interrupted.
    """

    VERSIONS = 1
    MARKERS = 2
    INDEX_VERSIONS = 3
    INDEX_MARKERS = 4
    LOCK_VERSIONS = 5
    LOCK_MARKERS = 6

    @classmethod
    def of(cls, kind: Kind | None, *, is_marker: bool) -> Stage:
        """The stage of an entry of a file of this kind, None for what is no file of a repository."""
        group = 2 if kind is Kind.LOCKS else int(kind in SUCCEEDED)
        return cls(1 + 2 * group + is_marker)

    @property
    def is_marker(self) -> bool:
        """Whether the stage deletes markers."""
        return self % 2 == 0

    @property
    def is_by_time(self) -> bool:
        """Whether what was replaced or deleted first must go first.

        When an index was removed, the audit wants another one that was left, so that one must go later.
        """
        return self is Stage.INDEX_VERSIONS


class DeletionSpool:
    """Deletions by stage. They are written once, in any order, and read as often as wanted.

    Memory is 16 bytes for each 128 deletions, and a block for each cursor. Raises SpoolFull.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        with spool_errors():
            self._descriptor = open_spool() if descriptor is None else descriptor
        weakref.finalize(self, os.close, self._descriptor)
        self._blocks = {stage: _Blocks() for stage in Stage}
        self._end = 0
        self._digest = hashlib.sha256()
        self.size = 0
        """Bytes of all versions."""

    def add(self, stage: Stage, deletions: Sequence[Deletion]) -> None:
        """Write deletions."""
        pending = self._blocks[stage].pending
        for deletion in deletions:
            pending.append(deletion)
            self.size += deletion.size
            if len(pending) == BLOCK:
                self._write(stage)

    def _write(self, stage: Stage) -> None:
        pending = self._blocks[stage].pending
        if not pending:
            return
        lines = b"".join(encode(deletion, stage) for deletion in pending)
        self._digest.update(lines)
        packed = compress(lines)
        with spool_errors():
            written = 0
            while written < len(packed):
                written += os.pwrite(self._descriptor, packed[written:], self._end + written)
        self.add_block(stage, self._end, len(packed), len(pending))
        self._end += len(packed)
        pending.clear()

    def add_block(self, stage: Stage, offset: int, length: int, count: int) -> None:
        """Add a block that the file has at ``offset``, of so many deletions: as many as any other, or the stage's last.

        Raises ValueError for a block after one that is not full.
        """
        blocks = self._blocks[stage]
        if blocks.count % BLOCK or count > BLOCK:
            raise ValueError("its blocks have wrong sizes")
        blocks.offsets.append(offset)
        blocks.lengths.append(length)
        blocks.count += count

    def finish(self) -> DeletionSpool:
        """Write the blocks that are not full. Nothing can be added then."""
        for stage in Stage:
            self._write(stage)
        return self

    @property
    def sha256(self) -> str:
        """The hash of all lines in the order of the file, after :meth:`finish`."""
        return self._digest.hexdigest()

    def select(self, chosen: Mapping[Stage, Bits]) -> None:
        """From now on, read and count only these deletions of each stage, by their positions."""
        for stage, blocks in self._blocks.items():
            blocks.chosen = chosen[stage]
            blocks.count = chosen[stage].count()
        self.size = sum(item.size for stage in Stage for item in self.read(stage))

    def count(self, stage: Stage) -> int:
        """Number of the deletions of a stage."""
        return self._blocks[stage].count

    @property
    def versions(self) -> Deletions:
        """The versions of all stages."""
        return Deletions(self, [stage for stage in Stage if not stage.is_marker])

    @property
    def markers(self) -> Deletions:
        """The delete markers of all stages."""
        return Deletions(self, [stage for stage in Stage if stage.is_marker])

    def read(self, stage: Stage) -> Iterator[Deletion]:
        """The deletions of a stage as they were added."""
        return (item for _, item in self.read_positions(stage))

    def read_positions(self, stage: Stage) -> Iterator[tuple[int, Deletion]]:
        """The deletions of a stage as they were added, each with its position."""
        for number in range(len(self._blocks[stage].offsets)):
            yield from self._read_chosen(stage, number)

    def read_interleaved(self, stage: Stage, cursors: int) -> Iterator[tuple[int, Deletion]]:
        """The deletions of a stage, each with its position in it, in an order that spreads over all keys.

        ``cursors`` positions, spread evenly over the stage, advance in turn. So as many deletions in a row are of
        different directories, index shards and keys, as far as the stage has them.
        """
        total = len(self._blocks[stage].offsets)
        bounds = [total * number // cursors for number in range(cursors + 1)]
        runs = [range(first, last) for first, last in pairwise(bounds) if first < last]
        waiting = deque(self._read_run(stage, run) for run in runs)
        while waiting:
            cursor = waiting.popleft()
            if (found := next(cursor, None)) is not None:
                yield found
                waiting.append(cursor)

    def read_by_time(self, stage: Stage) -> Iterator[tuple[int, Deletion]]:
        """The deletions of a stage by ``noncurrent_at``, each with its position. Memory: 40 bytes for each of them."""
        order = [item.noncurrent_at << _BITS | position for position, item in self.read_positions(stage)]
        order.sort()
        read_block = lru_cache(_CACHED_BLOCKS)(partial(self._read_block, stage))
        for packed in order:
            position = packed & (1 << _BITS) - 1
            yield position, read_block(position // BLOCK)[position % BLOCK]

    def _read_run(self, stage: Stage, run: range) -> Iterator[tuple[int, Deletion]]:
        for number in run:
            yield from separate_keys(self._read_chosen(stage, number))

    def _read_chosen(self, stage: Stage, number: int) -> list[tuple[int, Deletion]]:
        """The chosen deletions of a block, with their positions in the stage."""
        chosen = self._blocks[stage].chosen
        items = enumerate(self._read_block(stage, number), number * BLOCK)
        return [item for item in items if chosen is None or item[0] in chosen]

    def _read_block(self, stage: Stage, number: int) -> list[Deletion]:
        blocks = self._blocks[stage]
        packed = os.pread(self._descriptor, blocks.lengths[number], blocks.offsets[number])
        return [decode(line)[1] for line in zlib.decompress(packed, _GZIP).splitlines()]

    @property
    def path(self) -> Path:
        """The file, as long as this process has it."""
        return Path(f"/proc/self/fd/{self._descriptor}")

    def copy_chosen(self) -> DeletionSpool:
        """A spool of the chosen deletions alone, whose file has nothing else; itself if all are chosen."""
        if all(blocks.chosen is None for blocks in self._blocks.values()):
            return self
        found = DeletionSpool()
        for stage in Stage:
            for item in self.read(stage):
                found.add(stage, [item])
        return found.finish()

    def read_raw(self) -> Iterator[bytes]:
        """The file as it is: members of a gzip file."""
        position = 0
        while chunk := os.pread(self._descriptor, 1 << 20, position):
            yield chunk
            position += len(chunk)


class Bits:
    """A set of the numbers below ``size``, a bit for each."""

    def __init__(self, size: int) -> None:
        self._bits = bytearray(size // 8 + 1)

    def add(self, number: int) -> None:
        """Add a number."""
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return bool(self._bits[number >> 3] >> (number & 7) & 1)

    def count(self) -> int:
        """How many there are."""
        return int.from_bytes(self._bits).bit_count()


class _Blocks:
    """Where the blocks of a stage are in the file, and which of its deletions are chosen: all without ``chosen``."""

    def __init__(self) -> None:
        self.pending: list[Deletion] = []
        self.offsets = array("Q")
        self.lengths = array("L")
        self.count = 0
        self.chosen: Bits | None = None


class Deletions(Collection[Deletion]):
    """The deletions of some stages of a spool, read anew by each iteration."""

    def __init__(self, spool: DeletionSpool, stages: Sequence[Stage]) -> None:
        self._spool = spool
        self._stages = stages

    def __len__(self) -> int:
        return sum(map(self._spool.count, self._stages))

    def __iter__(self) -> Iterator[Deletion]:
        for stage in self._stages:
            yield from self._spool.read(stage)

    def __contains__(self, item: object) -> bool:
        return any(item == each for each in self)


def separate_keys(deletions: Sequence[tuple[int, Deletion]]) -> list[tuple[int, Deletion]]:
    """Reorder so that deletions of one key are far apart: simultaneous deletes of one key slow down bucket indexes."""
    ranks: dict[str, int] = {}
    ranked = []
    for item in deletions:
        key = item[1].key
        ranks[key] = rank = ranks.get(key, -1) + 1
        ranked.append((rank, item))
    return [item for _, item in sorted(ranked)]


def encode(deletion: Deletion, stage: Stage) -> bytes:
    """A deletion as a line of JSON."""
    kind = "marker" if stage.is_marker else "version"
    line = {
        "key": deletion.key,
        "version_id": deletion.version_id,
        "kind": kind,
        "size": deletion.size,
        "why": deletion.why,
        "last_modified": deletion.last_modified,
        "noncurrent_at": deletion.noncurrent_at,
        "stage": int(stage),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> tuple[Stage, Deletion]:
    """A deletion and its stage from a line. Raises ValueError, KeyError or TypeError for any other line."""
    found: dict[str, Any] = json.loads(line)
    return Stage(found["stage"]), Deletion(*(found[name] for name in Deletion._fields))


def check_deletion(deletion: Deletion) -> None:
    """Raise ValueError for a deletion from a file whose fields have values that RWM does not write."""
    key, version_id, size, why, *times = deletion
    if not all(isinstance(text, str) for text in (key, version_id, why)):
        raise ValueError("a field is no text")
    if not (_is_number(size) and all(_is_number(time) and time <= LAST_TIME for time in times)):
        raise ValueError("a field is no number, or too large")


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def compress(data: bytes) -> bytes:
    """A member of a gzip file."""
    packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()
