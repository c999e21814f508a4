"""The timeline of a bucket: which states are before and after a moment, and which part of the bucket each is of.

A state *covers* a directory if its prefix is the directory or one above it. It says nothing of any other directory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
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

_MOMENTS = 1000
"""Moments in a second: milliseconds."""


class Neighbour(NamedTuple):
    """A state beside a moment."""

    id: str
    prefix: str
    moment: int


def states_before(connection: sqlite3.Connection, bucket: int, prefix: str, moment: int) -> list[Neighbour]:
    """The states that say what is current below ``prefix`` just before a moment, newest first.

    These are the last state that covers the prefix, and of each prefix below it the last state, if it is newer.
    """
    return _nearest(connection, _EARLIER, bucket, prefix, moment)


def states_after(connection: sqlite3.Connection, bucket: int, prefix: str, moment: int) -> list[Neighbour]:
    """The states that follow a moment below ``prefix``, oldest first: the mirror image of :func:`states_before`."""
    return _nearest(connection, _LATER, bucket, prefix, moment)


def _nearest(connection: sqlite3.Connection, query: str, bucket: int, prefix: str, moment: int) -> list[Neighbour]:
    found: dict[str, Neighbour] = {}
    with closing(connection.execute(query, (bucket, prefix, moment))) as rows:
        for state in map(Neighbour._make, rows):
            if not any(path in found for path in _path_and_above(state.prefix)):
                found[state.prefix] = state
                if prefix.startswith(state.prefix):
                    break
    return list(found.values())


def _path_and_above(path: str) -> Iterator[str]:
    """The path of a directory and of those above it: ``""``, ``a/``, ``a/b/``."""
    yield ""
    yield from (path[: end + 1] for end, letter in enumerate(path) if letter == "/")


class NextMoments:
    """The moment of the first later state that covers a directory, given the result of :func:`states_after`.

    The cost of a directory does not grow with the number of states, which a machine can make for many prefixes.
    """

    def __init__(self, later: Iterable[Neighbour]) -> None:
        self._moments = {state.prefix: state.moment for state in later}

    def of(self, path: str) -> int:
        """FOREVER without such a state."""
        return min((self._moments[above] for above in _path_and_above(path) if above in self._moments), default=FOREVER)


def previous_state(connection: sqlite3.Connection, bucket: int, prefix: str, moment: int) -> str | None:
    """Id of the last state of exactly this prefix before the moment, None without one."""
    row = connection.execute(
        "SELECT id FROM state WHERE bucket = ? AND prefix = ? AND moment < ? ORDER BY moment DESC LIMIT 1",
        (bucket, prefix, moment),
    ).fetchone()
    return None if row is None else str(row[0])


def free_moment(connection: sqlite3.Connection, bucket: int, prefix: str, captured_at: int) -> int:
    """The first millisecond of the state's second that no other state of the bucket has.

    Raises BadState if there is none, or if states below a directory that contains ``prefix`` have taken their share:
    a machine, which can make any number of states below its prefix, must leave room for those of others.
    """
    taken: dict[int, str] = dict(
        connection.execute(
            "SELECT moment, prefix FROM state WHERE bucket = ? AND moment BETWEEN ? AND ?",
            (bucket, captured_at, captured_at + _MOMENTS - 1),
        )
    )
    if full := _full_directory(prefix, taken.values()):
        raise BadState(f"many states of {iso(captured_at)} below {full} are recorded: there is no room for another")
    for moment in range(captured_at, captured_at + _MOMENTS):
        if moment not in taken:
            return moment
    raise BadState(f"{_MOMENTS:,} states of {iso(captured_at)} are recorded: there is no room for another")


def _full_directory(prefix: str, taken: Iterable[str]) -> str | None:
    """The outermost directory above ``prefix``, or itself, whose states have taken their share of a second.

    ``taken`` are the prefixes of the states of that second. A directory may have half of what the others in the
    directory above it leave, so no number of states below one fills the second.
    """
    share, within = _MOMENTS, list(taken)
    for directory in _path_and_above(prefix):
        if directory:
            own = [other for other in within if other.startswith(directory)]
            share = max(1, (share - len(within) + len(own)) // 2)
            if len(own) >= share:
                return directory
            within = own
    return None
