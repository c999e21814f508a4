"""The timeline of a bucket: which states are before and after a moment, and which part of the bucket each is of.

A state *covers* a directory if its prefix is the directory or one above it. It says nothing of any other directory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import NamedTuple

from rwm.errors import BadState
from rwm.index.schema import FOREVER
from rwm.times import iso

# Conditions on a state ``s`` and a prefix ?2.
COVERS = "substr(?2, 1, length(s.prefix)) = s.prefix"
IS_BELOW = "substr(s.prefix, 1, length(?2)) = ?2"
OVERLAPS = f"({COVERS} OR {IS_BELOW})"

_SELECT = f"SELECT id, prefix, moment FROM state s WHERE bucket = ?1 AND {OVERLAPS}"
_EARLIER = f"{_SELECT} AND moment < ?3 ORDER BY moment DESC"
_LATER = f"{_SELECT} AND moment > ?3 ORDER BY moment"


class Neighbor(NamedTuple):
    """A state beside a moment."""

    id: str
    prefix: str
    moment: int


def states_before(connection: sqlite3.Connection, bucket: int, prefix: str, moment: int) -> list[Neighbor]:
    """The states that say what is current below ``prefix`` just before a moment, newest first.

    These are the last state that covers the prefix, and of each prefix below it the last state, if it is newer.
    """
    return _nearest(connection, _EARLIER, bucket, prefix, moment)


def states_after(connection: sqlite3.Connection, bucket: int, prefix: str, moment: int) -> list[Neighbor]:
    """The states that follow a moment below ``prefix``, oldest first: the mirror image of :func:`states_before`."""
    return _nearest(connection, _LATER, bucket, prefix, moment)


def _nearest(connection: sqlite3.Connection, query: str, bucket: int, prefix: str, moment: int) -> list[Neighbor]:
    found: dict[str, Neighbor] = {}
    with closing(connection.execute(query, (bucket, prefix, moment))) as rows:
        for state in map(Neighbor._make, rows):
            if state.prefix not in found and not _is_covered(state.prefix, found):
                found[state.prefix] = state
                if prefix.startswith(state.prefix):
                    break
    return list(found.values())


def _is_covered(prefix: str, others: Iterable[str]) -> bool:
    return any(prefix.startswith(other) for other in others)


def next_moment(after: Sequence[Neighbor], path: str) -> int:
    """The moment of the first state in ``after``, sorted by time, that covers a directory; FOREVER without one."""
    return next((state.moment for state in after if path.startswith(state.prefix)), FOREVER)


def previous_state(connection: sqlite3.Connection, bucket: int, prefix: str, moment: int) -> str | None:
    """Id of the last state of exactly this prefix before the moment, None without one."""
    row = connection.execute(
        "SELECT id FROM state WHERE bucket = ? AND prefix = ? AND moment < ? ORDER BY moment DESC LIMIT 1",
        (bucket, prefix, moment),
    ).fetchone()
    return None if row is None else str(row[0])


def free_moment(connection: sqlite3.Connection, bucket: int, captured_at: int) -> int:
    """The first millisecond of the state's second that no other state of the bucket has."""
    taken = {
        moment
        for (moment,) in connection.execute(
            "SELECT moment FROM state WHERE bucket = ? AND moment BETWEEN ? AND ?",
            (bucket, captured_at, captured_at + 999),
        )
    }
    for moment in range(captured_at, captured_at + 1000):
        if moment not in taken:
            return moment
    raise BadState(f"1,000 states of {iso(captured_at)} are recorded: there is no room for another")
