"""What audits found: the verdicts on each state, and what a person has acknowledged."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rwm.index.connection import errors, transaction
from rwm.index.directories import bucket_id
from rwm.location import Location
from rwm.model import Acknowledgement, PartVerdict, RecordedState, Verdict

_WORST_FIRST: tuple[Verdict, ...] = ("suspect", "review", "clean")


class Audits:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def record(self, location: Location, verdicts: Mapping[str, Iterable[PartVerdict]]) -> None:
        """Replace all verdicts below an audited location by these, by state id.

        For each state the first one is on all that the audit judged of it. It suffices if it is clean; else one on
        each repository follows.
        """
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, location.bucket, create=True)
            self._connection.execute(
                "DELETE FROM verdict WHERE bucket = ?1 AND substr(prefix, 1, length(?2)) = ?2",
                (number, location.prefix),
            )
            self._connection.executemany(
                "INSERT INTO verdict (bucket, state, prefix, verdict, audited_at) VALUES (?, ?, ?, ?, ?)",
                ((number, state_id, *part) for state_id, parts in verdicts.items() for part in parts),
            )

    def verdicts(self) -> Mapping[str, Sequence[PartVerdict]]:
        """The recorded verdicts by state id."""
        found: defaultdict[str, list[PartVerdict]] = defaultdict(list)
        with errors(self._path):
            for state_id, *part in self._connection.execute("SELECT state, prefix, verdict, audited_at FROM verdict"):
                found[state_id].append(PartVerdict(*part))
        return found

    def add_verdicts(self, states: Iterable[RecordedState], location: Location | None) -> list[RecordedState]:
        """The states, each with the verdict on what it has below the location (default: on all of it)."""
        verdicts, wanted = self.verdicts(), location.prefix if location else ""
        result = []
        for state in states:
            found = verdict_below(verdicts.get(state.info.id, ()), max(state.info.prefix, wanted, key=len))
            judged = state if found is None else replace(state, verdict=found.verdict, audited_at=found.audited_at)
            result.append(judged)
        return result

    def acknowledge(self, bucket: str, acknowledgement: Acknowledgement) -> None:
        """Record that a person has judged; an earlier judgement of the same is replaced."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket, create=True)
            self._connection.execute(
                "INSERT OR REPLACE INTO acknowledgement VALUES (?, ?, ?, ?, ?)", (number, *acknowledgement)
            )

    def withdraw(self, bucket: str, what: str) -> bool:
        """Undo :meth:`acknowledge`; False if there was nothing."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket)
            done = self._connection.execute("DELETE FROM acknowledgement WHERE bucket = ? AND what = ?", (number, what))
            return done.rowcount > 0

    def acknowledged(self, location: Location) -> dict[str, Acknowledgement]:
        """What a person has judged in the bucket, by finding id or code."""
        with errors(self._path):
            rows = self._connection.execute(
                "SELECT what, until, at, note FROM acknowledgement WHERE bucket = ?",
                (bucket_id(self._connection, location.bucket),),
            )
            return {row[0]: Acknowledgement(*row) for row in rows}


def verdict_below(parts: Iterable[PartVerdict], prefix: str) -> PartVerdict | None:
    """The verdict on what a state has below a prefix, from all that are recorded of it; None if it was not judged.

    The longest prefix that contains this one has the newest audit of all of it, because an audit replaces the verdicts
    below its location. What is clean as a whole is clean in each part; else the verdicts on the repositories count, and
    those of newer audits of parts count in any case.
    """
    parts = list(parts)
    whole = max((part for part in parts if prefix.startswith(part.prefix)), key=_length, default=None)
    if whole is None:
        return None
    counting = [part.verdict for part in parts if part.prefix.startswith(prefix) and part is not whole]
    if whole.prefix == prefix or whole.verdict == "clean":
        counting.append(whole.verdict)
    worst = next((verdict for verdict in _WORST_FIRST if verdict in counting), None)
    return None if worst is None else PartVerdict(prefix, worst, whole.audited_at)


def _length(part: PartVerdict) -> int:
    return len(part.prefix)
