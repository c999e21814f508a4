"""Whether states have the entries that their ids name: an index that was changed or damaged has others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path

from rwm.errors import IndexDamaged, StateNotFound
from rwm.index.connection import MOVE_AWAY, errors
from rwm.index.directories import SUBTREE, bucket_id, find_directory
from rwm.index.find import Finder
from rwm.index.packed import is_packed
from rwm.index.walk import IntervalBatch, interval_batches
from rwm.location import Location
from rwm.model import EntryBatch, StateInfo
from rwm.statefile import StateDigest, entry_lines
from rwm.times import iso

_DIRECTORIES = f"SELECT name, bucket FROM directory WHERE id IN {SUBTREE} AND id != :root"
_NAMES = f"SELECT name FROM version WHERE directory IN {SUBTREE} AND (name < x'' OR length(name) < 8)"  # few are text


def check_ids(connection: sqlite3.Connection, finder: Finder, path: Path, states: Sequence[StateInfo]) -> None:
    """As :meth:`rwm.index.Index.check_ids`, for the index at ``path``."""
    altered = []
    for location in sorted({info.location for info in states}):
        moments = {finder.moment(info): info for info in states if info.location == location}
        with errors(path):
            altered += _find_altered(connection, location, moments)
        if any(finder.moment(info) != moment for moment, info in moments.items()):  # recorded again meanwhile
            raise StateNotFound("a state was forgotten while it was read")
    if altered:
        first, others = altered[0], f" (and {len(altered) - 1} more)" if len(altered) > 1 else ""
        raise IndexDamaged(
            f"index {path}: state {first.short} of {iso(first.captured_at)}{others} has other entries than its id "
            "says: somebody changed the file, or it is damaged",
            hint=MOVE_AWAY,
        )


def _find_altered(
    connection: sqlite3.Connection, location: Location, states: Mapping[int, StateInfo]
) -> list[StateInfo]:
    """Those of the states of exactly this location, by moment, whose entries do not give their ids, in one pass."""
    bucket = bucket_id(connection, location.bucket)
    root = find_directory(connection, bucket, location.prefix)
    if _is_misplaced(connection, bucket, root):
        return list(states.values())
    try:
        return _compare(interval_batches(connection, root, location.prefix, min(states), max(states)), states)
    except (AttributeError, OverflowError, ValueError):  # a value of another type, or a time in no calendar
        return list(states.values())


def _is_misplaced(connection: sqlite3.Connection, bucket: int, root: int) -> bool:
    """Whether any row below a directory is read in order, but not found by its key: as if a state lacked it."""
    at = {"root": root}
    directories = connection.execute(_DIRECTORIES, at)
    if any(number != bucket or not is_packed(name) for name, number in directories):
        return True
    return any(not is_packed(name) for (name,) in connection.execute(_NAMES, at))


def _compare(batches: Iterable[IntervalBatch], states: Mapping[int, StateInfo]) -> list[StateInfo]:
    """The states whose ids the rows do not give: each row is encoded once, and hashed for every state that has it."""
    digests = {moment: StateDigest(info) for moment, info in states.items()}
    for batch in batches:
        _add(batch, digests)
    return [info for moment, info in states.items() if digests[moment].close().id != info.id]


def _add(batch: IntervalBatch, digests: Mapping[int, StateDigest]) -> None:
    """Add to the digest of each moment the rows that are current then."""
    text = entry_lines(EntryBatch(*batch[:5]))
    lines = text.splitlines(keepends=True)
    intervals = list(zip(batch.since, batch.until, strict=True))
    numbers = {interval: number for number, interval in enumerate(dict.fromkeys(intervals))}
    rows = list(map(numbers.__getitem__, intervals))
    for moment, digest in digests.items():
        current = [since <= moment < until for since, until in numbers]
        if all(current):
            digest.add_lines(text)
        elif any(current):
            digest.add_lines(b"".join(compress(lines, map(current.__getitem__, rows))))
