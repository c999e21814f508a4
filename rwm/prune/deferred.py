"""Decisions that wait until all keys are known, in a private temporary file: memory does not grow with them."""

from __future__ import annotations

import marshal
import zlib
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from rwm.model import ObjectVersion
from rwm.prune.key_plan import Deletion, KeyPlan
from rwm.prune.spool_file import SpoolFile
from rwm.trust import Kind

_BLOCK = 256
_FASTEST = 1


class Deferred(NamedTuple):
    """A decision about a file of the repository at ``root``; ``history`` comes newest first."""

    root: str
    kind: Kind
    history: Sequence[ObjectVersion]
    decision: KeyPlan


class DeferredSpool:
    """Decisions in the order in which they are added. Memory is 8 bytes for each 256. Raises SpoolFull."""

    def __init__(self) -> None:
        self._file = SpoolFile()
        self._ends = array("Q", [0])
        self._pending: list[Deferred] = []

    def add(self, item: Deferred) -> None:
        """Add a decision."""
        self._pending.append(item)
        if len(self._pending) == _BLOCK:
            packed = zlib.compress(marshal.dumps([_pack(each) for each in self._pending]), _FASTEST)
            self._ends.append(self._file.append(packed) + len(packed))
            self._pending.clear()

    def __iter__(self) -> Iterator[Deferred]:
        for start, end in pairwise(self._ends):
            packed = self._file.read(start, end - start)
            for item in marshal.loads(zlib.decompress(packed)):  # noqa: S302 - written by this object
                yield _unpack(*item)
        yield from self._pending


_Packed = tuple[str, str, list[tuple[object, ...]], tuple[object, ...]]


def _pack(item: Deferred) -> _Packed:
    decision = (*([tuple(each) for each in part] for part in item.decision[:2]), *item.decision[2:])
    return item.root, item.kind.value, [tuple(entry) for entry in item.history], decision


def _unpack(root: str, kind: str, history: list[tuple[object, ...]], decision: tuple[object, ...]) -> Deferred:
    versions, markers, *counts = decision
    parts = ([Deletion(*each) for each in part] for part in (versions, markers))  # type: ignore[attr-defined]
    entries = [ObjectVersion(*entry) for entry in history]  # type: ignore[arg-type]
    return Deferred(root, Kind(kind), entries, KeyPlan(*parts, *counts))  # type: ignore[arg-type]
