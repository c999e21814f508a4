"""``rwm prune --simulate``: what the keep rules will keep, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import App
from rwm.errors import StateNotFound, UsageError
from rwm.location import Location
from rwm.model import StateInfo
from rwm.shell import quote
from rwm.times import DAY, SECOND, iso

if TYPE_CHECKING:
    from rwm.retention import Simulation
    from rwm.trust import KeepPolicy

LONGEST = 100 * 365 * DAY


def simulate_and_print(app: App, location: Location, rules: KeepPolicy, span: int) -> None:
    """Simulate for ``span`` milliseconds from the newest state of each location, and print the result."""
    from rwm.retention import recorded_clean_states, simulate

    if rules.is_empty:
        raise UsageError("no rule keeps a state", hint="set `keep` in the configuration, or --keep-last N and so on")
    if not DAY <= span <= LONGEST:
        raise UsageError("--simulate takes a time from 1d to 100y", hint="write it as 400d or 5y")
    places = recorded_clean_states(app.readonly_index, location)
    if not places:
        raise StateNotFound(
            f"no clean state of {location.described} is recorded",
            hint=f"`rwm state capture {quote(location)}` records one, `rwm audit {quote(location)}` judges those that "
            "are",
        )
    results = {place: (states, simulate(states, rules, span)) for place, states in places.items()}
    if app.json:
        console.print_json([_simulation_json(place, *result) for place, result in results.items()])
        return
    for number, (place, (_, result)) in enumerate(results.items()):
        if number:
            click.echo()
        _print(place, result)


def _simulation_json(location: Location, states: Sequence[StateInfo], result: Simulation) -> dict[str, Any]:
    return {
        "bucket": location.bucket,
        "prefix": location.prefix,
        "rhythm_seconds": result.rhythm // SECOND,
        "usual_rhythm_seconds": result.usual_rhythm // SECOND,
        "rows": [
            {
                "at": iso(row.at),
                "kept": row.kept,
                "recorded": row.recorded,
                "oldest": None if row.oldest is None else iso(row.oldest),
            }
            for row in result.rows
        ],
        "states": [
            {
                "id": info.id,
                "captured_at": iso(info.captured_at),
                "kept": until != 0,
                "kept_until": iso(until) if until else None,
            }
            for info, until in zip(states, result.kept_until, strict=True)
        ],
    }


def _print(location: Location, result: Simulation) -> None:
    rhythm, usual = console.format_age(result.rhythm), console.format_age(result.usual_rhythm)
    why = "as the newest ones" if rhythm == usual else f"not every {usual}: too many to simulate"
    click.echo(console.escape(f"{location}: a state every {rhythm}, {why}"))
    if rhythm != usual:
        console.warn("the numbers of `last`, `within` and of rules by the hour are only rough; simulate a shorter time")
    start = result.rows[0].at
    rows = [
        (
            f"+{console.format_age(row.at - start)}" if row.at > start else "now",
            iso(row.at),
            row.kept,
            row.recorded,
            "" if row.oldest is None else f"{console.format_age(row.at - row.oldest)} ago",
        )
        for row in result.rows
    ]
    console.print_table(["after", "time", "states kept", "of those now", "the oldest"], rows, right=(0, 2, 3, 4))
    dropped = sum(until == 0 for until in result.kept_until)
    if dropped:
        states = console.format_count(dropped, "recorded state")
        click.echo(f"{states} would be dropped by a prune now")
