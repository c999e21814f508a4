"""What ``rwm prune`` prints of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rwm.model import StateInfo
    from rwm.prune import LocationPlan, PrunePlan, RecordedPrune

MAX_NAMED = 5
"""States whose ids fit a line."""


def plan_json(plan: PrunePlan, force: bool) -> dict[str, Any]:
    """The plan as JSON; with ``force`` its findings are overridden and refuse nothing."""
    return {
        "bucket": plan.location.bucket,
        "prefix": plan.location.prefix,
        "kept_states": [info.id for info in plan.kept_states],
        "lost_states": [info.id for info in plan.lost_states],
        "versions": len(plan.versions),
        "markers": len(plan.markers),
        "bytes": plan.bytes,
        "kept_versions": plan.kept_versions,
        "locked": plan.locked,
        "object_lock": plan.has_object_lock,
        "too_young": plan.too_young,
        "uncovered": plan.uncovered,
        "first_versions": plan.first_versions,
        "evidence": plan.evidence,
        "files_read": plan.files_read,
        "uploads": plan.uploads,
        "refused": plan.objections(force=force),
        "overridden": list(plan.findings) if force else [],
        "locations": [_location_json(place, force) for place in plan.locations],
    }


def _location_json(place: LocationPlan, force: bool) -> dict[str, Any]:
    return {
        "prefix": place.location.prefix,
        "kept_states": [info.id for info in place.kept_states],
        "lost_states": [info.id for info in place.lost_states],
        "versions": place.versions,
        "markers": place.markers,
        "bytes": place.bytes,
        "kept_versions": place.kept_versions,
        "too_young": place.too_young,
        "last_clean": place.last_clean and place.last_clean.id,
        "refused": place.objections(force=force),
    }


def print_plan(plan: PrunePlan) -> None:
    """Print the plan as a table, with a line for each location if there are several."""
    if len(plan.locations) > 1:
        click.echo(console.escape(f"plan for {plan.location}"))
        _print_locations(plan)
    else:
        click.echo(console.escape(f"plan for {plan.location}; kept states: {_name_newest(plan.kept_states)}"))
    console.print_table(
        ["", "count", "size"],
        [
            ("delete: versions", len(plan.versions), console.format_size(plan.bytes)),
            ("delete: markers", len(plan.markers), ""),
            ("delete: states that need them", len(plan.lost_states), ""),
            ("keep: needed versions", plan.kept_versions, ""),
            ("keep: too young", plan.too_young, ""),
            ("keep: locked, or younger than the default lock", plan.locked, ""),
            *((label, count, "") for label, count in _rare_counts(plan).items() if count),
        ],
        right=(1, 2),
    )


def _name_newest(states: Sequence[StateInfo]) -> str:
    """The short ids of the states, which come oldest first; of many the newest ones and their number."""
    ids = [info.short for info in states]
    return ", ".join(ids) or "none" if len(ids) <= MAX_NAMED else f"{len(ids)}, the newest {', '.join(ids[-3:])}"


def _rare_counts(plan: PrunePlan) -> dict[str, int]:
    return {
        "keep: covered by no kept state": plan.uncovered,
        "keep: first versions of names written again": plan.first_versions,
        "keep: evidence for the audit": plan.evidence,
        "read before the prune: files of kept states": plan.files_read,
        "abort: unfinished uploads": plan.uploads,
    }


def _print_locations(plan: PrunePlan) -> None:
    """One line for each location. Versions count for the innermost location that covers their key."""
    rows = [
        (
            str(place.location),
            len(place.kept_states),
            len(place.lost_states),
            place.versions,
            console.format_size(place.bytes),
            place.kept_versions,
        )
        for place in plan.locations
    ]
    columns = ["location", "kept states", "lost states", "delete: versions", "size", "keep: needed versions"]
    console.print_table(columns, rows, right=(1, 2, 3, 4, 5))


def print_result(done: RecordedPrune) -> None:
    """What was deleted."""
    result, uploads = done.result, done.uploads.aborted
    freed = console.format_size(result.bytes)
    aborted = f"; aborted {console.format_count(uploads, 'unfinished upload')}" if uploads else ""
    versions = console.format_count(result.versions, "version")
    click.echo(f"deleted {versions} and {console.format_count(result.markers, 'marker')}, {freed}{aborted}")


def result_json(plan: PrunePlan, done: RecordedPrune, force: bool) -> dict[str, Any]:
    """The plan, with what was deleted in place of what was to be."""
    result = done.result
    return plan_json(plan, force) | {
        "versions": result.versions,
        "markers": result.markers,
        "bytes": result.bytes,
        "uploads": done.uploads.aborted,
        "failures": [failure._asdict() for failure in result.failures],
        "found_locked": [
            {"key": key, "version_id": version_id, "until": iso(until)}
            for (key, version_id), until in result.locked.items()
        ],
        "left": result.left,
    }
