"""``rwm prune --log`` and ``--as-lifecycle``: what is printed without a listing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import App
from rwm.location import Location
from rwm.times import SECOND, iso

if TYPE_CHECKING:
    from rwm.model import PruneReport
    from rwm.trust import KeepPolicy


def print_log(app: App, location: Location | None) -> None:
    """Print the prunes that the index knows, oldest first."""
    reports = app.readonly_index.prunes.recorded(location)
    if app.json:
        console.print_json([prune_json(report) for report in reports])
        return
    if not reports:
        click.echo("no prune is recorded" + (f" of {location}" if location else ""))
        return
    columns = ["when", "location", "kept states", "lost", "versions", "size", "markers", "uploads", "failed", "ended"]
    rows = [
        (
            iso(report.at),
            str(report.location),
            _name_states(report.kept_states),
            len(report.lost_states),
            report.versions,
            console.format_size(report.bytes),
            report.markers,
            report.uploads,
            sum(report.failures.values()) + report.left,
            "interrupted" if report.ended_at is None else iso(report.ended_at),
        )
        for report in reports
    ]
    console.print_table(columns, rows, right=(3, 4, 5, 6, 7, 8))


def _name_states(states: tuple[str, ...]) -> str:
    newest = states[-1][: console.SHORT_ID] if states else "none"
    return newest if len(states) < 2 else f"{len(states)}, newest {newest}"


def prune_json(report: PruneReport) -> dict[str, Any]:
    """One prune. ``ended_at`` is null if it was interrupted; what it had deleted by then is not known."""
    return {
        "id": report.id,
        "bucket": report.location.bucket,
        "prefix": report.location.prefix,
        "at": iso(report.at),
        "ended_at": None if report.ended_at is None else iso(report.ended_at),
        "cutoff": iso(report.cutoff),
        "kept_states": list(report.kept_states),
        "lost_states": [{"id": state.id, "captured_at": iso(state.captured_at)} for state in report.lost_states],
        "overridden": list(report.overridden),
        "versions": report.versions,
        "markers": report.markers,
        "bytes": report.bytes,
        "removed": dict(report.removed),
        "failures": dict(report.failures),
        "left": report.left,
        "uploads": report.uploads,
    }


def print_lifecycle(app: App, location: Location, rules: KeepPolicy, keep_state: tuple[str, ...], min_age: int) -> None:
    """Print the lifecycle rule on stdout, and in words on stderr what it cannot express. Nothing is applied."""
    from rwm.retention import CANNOT, lifecycle_rule, select_kept_states

    kept = select_kept_states(app.readonly_index, location, rules, keep_state)
    now = time.time_ns() // 1_000_000 // SECOND * SECOND
    oldest = min((info.captured_at for info in kept), default=now)
    console.print_json(lifecycle_rule(location, oldest, now, min_age))
    click.echo("This rule was not applied. What it cannot express, which is why `rwm prune` is exact:", err=True)
    for line in CANNOT:
        click.echo(f"- {line}", err=True)
