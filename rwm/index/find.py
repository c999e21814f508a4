"""Finding states by id, prefix or time."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from rwm.errors import StateNotFound, UsageError
from rwm.index.connection import errors
from rwm.model import RecordedState, StateInfo
from rwm.times import SECOND, iso, looks_like_time, parse_time

_SELECT = (
    "SELECT s.id, b.name, s.captured_at, s.origin, s.objects, s.bytes, s.outcome, s.prefix, s.trust, s.checked_at "
    "FROM state s JOIN bucket b ON b.id = s.bucket"
)

# Preferred first: an unchecked state is found by time only if there is no better one.
_CREDIBLE = ("s.trust IN ('own', 'verified')", "s.trust = 'unchecked'")


class Finder:
    """Looks states up in one index file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def where(self, condition: str, values: tuple[Any, ...] = ()) -> list[RecordedState]:
        """The states that meet an SQL condition on ``s`` (state) and ``b`` (bucket); it may end in ORDER BY."""
        with errors(self._path):
            rows = self._connection.execute(f"{_SELECT} WHERE {condition}", values)
            return [RecordedState(StateInfo(*row[:8]), *row[8:]) for row in rows]

    def resolve(self, text: str, bucket: str | None = None) -> StateInfo:
        """See :meth:`rwm.index.Index.resolve`."""
        if text == "latest" or looks_like_time(text):
            if bucket is None:
                raise UsageError(f"{text} needs a bucket", hint="name the bucket with -b BUCKET, or give an id")
            return self._by_time(text, bucket)
        return self._by_id(text, bucket)

    def _by_id(self, text: str, bucket: str | None) -> StateInfo:
        prefix = text.strip().lower()
        if not prefix or set(prefix) - set("0123456789abcdef"):
            raise StateNotFound(
                f"{text!r} is not a state: expected an id (hexadecimal, or its beginning), latest, or a UTC time",
                hint="`rwm state list` shows the recorded states",
            )
        found = [
            state.info
            for state in self.where("s.id >= ? AND s.id < ?", (prefix, prefix + "g"))
            if bucket is None or state.info.bucket == bucket
        ]
        if len(found) == 1:
            return found[0]
        where = f" of bucket {bucket}" if bucket else ""
        if not found:
            if missing := missing_index(self._path, bucket):
                raise missing
            raise StateNotFound(
                f"no recorded state{where} has an id that begins with {prefix}",
                hint="`rwm state list` shows the recorded states, `rwm state sync BUCKET` fetches those of the bucket",
            )
        several = ", ".join(f"{info.id[:12]} ({iso(info.captured_at)})" for info in found[:5])
        raise StateNotFound(f"{len(found)} states{where} begin with {prefix}: {several}", hint="type more of the id")

    def _by_time(self, text: str, bucket: str) -> StateInfo:
        """The last credible state at or before a time. Others may be forged or incomplete, and need their id."""
        until = (1 << 62) if text == "latest" else parse_time(text) // SECOND * SECOND
        condition = "b.name = ? AND s.captured_at <= ?"
        for credible in _CREDIBLE:
            found = self.where(f"{condition} AND {credible} ORDER BY s.moment DESC LIMIT 1", (bucket, until))
            if found:
                return found[0].info
        when = "" if text == "latest" else f" at or before {iso(until)}"
        if self.where(f"{condition} LIMIT 1", (bucket, until)):
            raise StateNotFound(
                f"the bucket's history confirms no recorded state of bucket {bucket}{when}",
                hint="`rwm state list` shows them; to use one of them, give its id",
            )
        if missing := missing_index(self._path, bucket):
            raise missing
        raise StateNotFound(
            f"no state of bucket {bucket} is recorded{when}",
            hint=f"`rwm state sync {bucket}` fetches those of the bucket, `rwm state capture {bucket}` records it "
            "as it is now, with --at TIME as it was then",
        )


def missing_index(path: Path, bucket: str | None) -> StateNotFound | None:
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
        hint=f"`rwm state sync {bucket or 'BUCKET'}` makes it from the states in the bucket; if it is elsewhere, set "
        "index_path in the configuration",
    )
