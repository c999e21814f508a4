"""Finding states by id, prefix or time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rwm.errors import StateNotFound, UsageError
from rwm.index.connection import errors
from rwm.index.directories import bucket_id
from rwm.index.prunes import Prunes
from rwm.index.timeline import COVERS, IS_BELOW, OVERLAPS
from rwm.location import Location
from rwm.model import LAST_CLEAN, LATEST, SHORT_ID, RecordedState, StateInfo
from rwm.shell import quote
from rwm.times import SECOND, iso, looks_like_time, parse_time

_SELECT = (
    "SELECT s.id, b.name, s.captured_at, s.origin, s.objects, s.bytes, s.outcome, s.prefix, s.trust, s.checked_at "
    "FROM state s JOIN bucket b ON b.id = s.bucket"
)

# Preferred first: an unchecked state is found by time only if there is no better one.
_CREDIBLE = ("s.trust IN ('own', 'verified')", "s.trust = 'unchecked'")

_BY_THEN = "b.name = ?1 AND s.captured_at <= ?3"
_NAMED = 5  # locations in an error


class Finder:
    """Looks states up in one index file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._prunes = Prunes(connection, path)

    def where(self, condition: str, values: tuple[Any, ...] = ()) -> list[RecordedState]:
        """The states that meet an SQL condition on ``s`` (state) and ``b`` (bucket); it may end in ORDER BY."""
        with errors(self._path):
            rows = self._connection.execute(f"{_SELECT} WHERE {condition}", values)
            return [RecordedState(StateInfo(*row[:8]), *row[8:]) for row in rows]

    def locations(self, bucket: str) -> list[Location]:
        """See :meth:`rwm.index.Index.locations`."""
        with errors(self._path):
            rows = self._connection.execute(
                "SELECT DISTINCT prefix FROM state WHERE bucket = ? ORDER BY prefix",
                (bucket_id(self._connection, bucket),),
            )
            return [Location(bucket, prefix) for (prefix,) in rows]

    def moment(self, info: StateInfo) -> int:
        """See :meth:`rwm.index.Index.moment`."""
        with errors(self._path):
            row = self._connection.execute("SELECT moment FROM state WHERE id = ?", (info.id,)).fetchone()
        if row is None:
            raise StateNotFound(f"state {info.short} is not in the index")
        return int(row[0])

    def moments(self, location: Location) -> dict[str, int]:
        """See :meth:`rwm.index.Index.moments`."""
        with errors(self._path):
            return dict(
                self._connection.execute(
                    f"SELECT s.id, s.moment FROM state s WHERE s.bucket = ?1 AND {OVERLAPS}",
                    (bucket_id(self._connection, location.bucket), location.prefix),
                )
            )

    def resolve(self, text: str, location: Location | None = None) -> StateInfo:
        """See :meth:`rwm.index.Index.resolve`."""
        if text in (LATEST, LAST_CLEAN) or looks_like_time(text):
            if location is None:
                raise UsageError(f"{text} needs a bucket", hint="name the bucket with -b BUCKET, or give an id")
            return self._by_time(text, location)
        return self._by_id(text, location)

    def _by_id(self, text: str, location: Location | None) -> StateInfo:
        prefix = text.strip().lower()
        if not prefix or set(prefix) - set("0123456789abcdef"):
            raise StateNotFound(
                f"{text!r} is not a state: expected an id (hexadecimal, or its beginning), {LATEST}, {LAST_CLEAN}, "
                "or a UTC time",
                hint="`rwm state list` shows the recorded states",
            )
        found = [
            state.info
            for state in self.where("s.id >= ? AND s.id < ?", (prefix, prefix + "g"))
            if location is None or state.info.location.overlaps(location)
        ]
        if len(found) == 1:
            return found[0]
        where = f" of {location.described}" if location else ""
        if not found:
            if missing := missing_index(self._path, location):
                raise missing
            if pruned := next(self._prunes.lost_states(prefix), None):
                raise StateNotFound(
                    f"state {pruned.id[:SHORT_ID]} ({iso(pruned.captured_at)}) was pruned on {iso(pruned.pruned_at)}: "
                    "the bucket has not all of its versions any more",
                    hint="`rwm prune --log` shows which states that prune kept",
                )
            raise StateNotFound(
                f"no recorded state{where} has an id that begins with {prefix}",
                hint=f"`rwm state list` shows the recorded states, `rwm state sync {quote(location or 'BUCKET')}` "
                "fetches those of the bucket",
            )
        several = ", ".join(f"{info.short} ({iso(info.captured_at)})" for info in found[:5])
        raise StateNotFound(f"{len(found)} states{where} begin with {prefix}: {several}", hint="type more of the id")

    def _by_time(self, text: str, location: Location) -> StateInfo:
        """The last credible state that covers the location, at or before a time.

        Others may be forged or incomplete, and need their id.
        """
        until = (1 << 62) if text == LATEST else parse_time(text) // SECOND * SECOND
        values = (location.bucket, location.prefix, until)
        for credible in _CREDIBLE:
            found = self.where(f"{_BY_THEN} AND {COVERS} AND {credible} ORDER BY s.moment DESC LIMIT 1", values)
            if found:
                return found[0].info
        when = "" if text == LATEST else f" at or before {iso(until)}"
        if self.where(f"{_BY_THEN} AND {COVERS} LIMIT 1", values):
            raise StateNotFound(
                f"the bucket's history confirms no recorded state of {location.described}{when}",
                hint="`rwm state list` shows them; to use one of them, give its id",
            )
        if missing := missing_index(self._path, location):
            raise missing
        raise self._none_covers(location, when, self.where(f"{_BY_THEN} AND {IS_BELOW}", values))

    def _none_covers(self, location: Location, when: str, below: list[RecordedState]) -> StateNotFound:
        """The error that says that no state covers the location; ``below`` are states of prefixes in it."""
        if not below:
            return StateNotFound(
                f"no state of {location.described} is recorded{when}",
                hint=f"`rwm state sync {quote(location)}` fetches those of the bucket, `rwm state capture "
                f"{quote(location)}` records it as it is now, with --at TIME as it was then",
            )
        found = sorted({state.info.location for state in below})
        names = ", ".join(map(str, found[:_NAMED])) + ", ..." * (len(found) > _NAMED)
        return StateNotFound(
            f"no state of the whole of {location.described} is recorded{when}, only of {names}",
            hint=f"name one of these locations, or record all of it: `rwm state capture {quote(location)}`",
        )


def states_by_location(recorded: Iterable[RecordedState]) -> dict[Location, list[RecordedState]]:
    """The states of each location in their order; the locations sorted, so each comes before those below it."""
    found: dict[Location, list[RecordedState]] = {}
    for state in recorded:
        found.setdefault(state.info.location, []).append(state)
    return dict(sorted(found.items()))


def missing_index(path: Path, location: Location | None) -> StateNotFound | None:
    """The error that says that there is no index at ``path``, and what to do; None if there is one."""
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError:  # opening it raises a better error
        return None
    else:
        return None
    return StateNotFound(
        f"no state is recorded: there is no index at {path} yet",
        hint=f"`rwm state sync {quote(location or 'BUCKET')}` makes it from the states in the bucket; if it is "
        "elsewhere, set index_path in the configuration",
    )
