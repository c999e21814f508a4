"""The deletions of a plan in a private file of compressed lines: memory stays small, and any part can be read."""

from __future__ import annotations

import hashlib
from array import array
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise

from rwm.prune.deletion_lines import compress, decode, decompress, encode
from rwm.prune.key_plan import Deletion
from rwm.prune.spool_file import SpoolFile
from rwm.prune.stages import Stage

BLOCK = 128
"""Deletions that are compressed together: enough to compress well, and few to hold for each cursor."""

_BITS = 40  # of a position
_CACHED_BLOCKS = 64


class DeletionSpool:
    """Deletions by stage. They are written once, in any order, and read as often as wanted.

    Memory is 16 bytes for each 128 deletions, and a block for each cursor. Raises SpoolFull.
    """

    def __init__(self, file: SpoolFile | None = None) -> None:
        self.file = file or SpoolFile()
        """The blocks are members of a gzip file."""
        self._blocks = {stage: _Blocks() for stage in Stage}
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
        self.add_block(stage, self.file.append(packed), len(packed), len(pending))
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
        packed = self.file.read(blocks.offsets[number], blocks.lengths[number])
        return [decode(line)[1] for line in decompress(packed).splitlines()]

    def copy_chosen(self) -> DeletionSpool:
        """A spool of the chosen deletions alone, whose file has nothing else; itself if all are chosen."""
        if all(blocks.chosen is None for blocks in self._blocks.values()):
            return self
        found = DeletionSpool()
        for stage in Stage:
            for item in self.read(stage):
                found.add(stage, [item])
        return found.finish()


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
