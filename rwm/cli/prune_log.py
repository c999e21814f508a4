"""``rwm prune --log`` and ``--removed``: past prunes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import App
from rwm.errors import BadState, S3Error, UsageError
from rwm.location import Location
from rwm.model import SHORT_ID
from rwm.shell import quote
from rwm.times import iso

if TYPE_CHECKING:
    from rwm.model import PruneReport


def print_log(app: App, location: Location | None) -> None:
    """Print the prunes that the index knows, and for a location those in the bucket, oldest first."""
    reports = app.readonly_index.prunes.recorded(location)
    if location is not None:
        known = {report.id for report in reports}
        reports += [report for report in _in_bucket(app, location) if report.id not in known]
        reports.sort(key=lambda report: report.at)
    if app.json:
        console.print_json([prune_json(report) for report in reports])
        return
    if not reports:
        click.echo("no prune is recorded" + (f" of {location}" if location else ""))
        return
    columns = [
        "id",
        "when",
        "location",
        "kept states",
        "lost",
        "versions",
        "size",
        "markers",
        "uploads",
        "failed",
        "ended",
    ]
    rows = [
        (
            report.id[:SHORT_ID],
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
    console.print_table(columns, rows, right=(4, 5, 6, 7, 8, 9))


def _in_bucket(app: App, location: Location) -> Iterator[PruneReport]:
    """The reports of all computers, as far as they can be trusted."""
    from rwm.prune import list_reports
    from rwm.storage import is_protected

    try:
        for report in list_reports(app.s3, location, lambda: is_protected(app.s3, location.bucket)):
            if isinstance(report, BadState):
                console.warn(f"{report.message}; it is ignored")
            else:
                yield report
    except S3Error as error:
        console.warn(f"prunes of other computers are not known: {error.message}")


def print_removed(app: App, location: Location, prune_id: str) -> None:
    """Print each version and marker that a prune removed, with the reason: as JSON Lines with ``--json``."""
    from rwm.prune import encode, removed

    reports = {report.id: report for report in _in_bucket(app, location)}
    reports |= {report.id: report for report in app.readonly_index.prunes.recorded(location)}
    found = [report for id_, report in reports.items() if id_.startswith(prune_id)]
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} prunes of {location} have an id that begins with {prune_id}",
            hint=f"`rwm prune {quote(location)} --log` lists them",
        )
    (report,) = found
    if report.ended_at is None or report.left:
        console.print_note("note: this prune did not end, or left something untried: not all of this is removed")
    for stage, item in removed(app.s3, report):
        if app.json:
            click.echo(encode(item, stage), nl=False)
        else:
            kind = "marker" if stage.is_marker else "version"
            click.echo(console.escape(f"{item.why} {kind} {iso(item.noncurrent_at)} {item.key} {item.version_id}"))


def _name_states(states: tuple[str, ...]) -> str:
    newest = states[-1][:SHORT_ID] if states else "none"
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
