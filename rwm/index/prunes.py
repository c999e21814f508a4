"""Prunes that this computer ran: what they kept, deleted and left, and which states they ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rwm.index.connection import errors, transaction
from rwm.index.directories import bucket_id
from rwm.location import Location
from rwm.model import PrunedState, PruneReport

_SELECT = (
    "SELECT p.id, b.name, p.prefix, p.at, p.ended_at, p.plan, p.result FROM prune p JOIN bucket b ON b.id = p.bucket"
)
_IN_PLAN = ("cutoff", "kept_states", "lost_states", "overridden")
_IN_RESULT = ("versions", "markers", "bytes", "removed", "failures", "left", "uploads")


class Prunes:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def begin(self, report: PruneReport) -> None:
        """Record a prune before its first deletion."""
        values = report._asdict()
        plan = json.dumps({name: values[name] for name in _IN_PLAN})
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, report.location.bucket, create=True)
            self._connection.execute(
                "INSERT INTO prune (id, bucket, prefix, at, plan) VALUES (?, ?, ?, ?, ?)",
                (report.id, number, report.location.prefix, report.at, plan),
            )

    def end(self, report: PruneReport) -> None:
        """Record what a prune did."""
        values = report._asdict()
        result = json.dumps({name: values[name] for name in _IN_RESULT})
        with errors(self._path), transaction(self._connection):
            self._connection.execute(
                "UPDATE prune SET ended_at = ?, result = ? WHERE id = ?", (report.ended_at, result, report.id)
            )

    def recorded(self, location: Location | None = None) -> list[PruneReport]:
        """All prunes, or those of locations that overlap one, oldest first."""
        with errors(self._path):
            rows = self._connection.execute(f"{_SELECT} ORDER BY p.at, p.id").fetchall()
        found = [_report(*row) for row in rows]
        return [report for report in found if location is None or report.location.overlaps(location)]

    def lost_states(self, state_id: str) -> Iterator[PrunedState]:
        """The states that prunes ended whose ids begin so, the last prune first."""
        for report in reversed(self.recorded()):
            yield from (state for state in report.lost_states if state.id.startswith(state_id))


def _report(
    id_: str, bucket: str, prefix: str, at: int, ended_at: int | None, plan: str, result: str | None
) -> PruneReport:
    planned: dict[str, Any] = json.loads(plan)
    return PruneReport(
        id_,
        Location(bucket, prefix),
        at,
        planned["cutoff"],
        tuple(planned["kept_states"]),
        tuple(PrunedState(*state) for state in planned["lost_states"]),
        tuple(planned["overridden"]),
        ended_at,
        **(json.loads(result) if result else {}),
    )
