"""``rwm audit --bisect``: the newest state on which ``restic check`` passes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.restic_check import check_repositories, count_repositories_below
from rwm.console import App
from rwm.errors import CheckFailed, IndexUnusable, StateNotFound
from rwm.location import Location
from rwm.model import StateInfo, Verification
from rwm.shell import quote
from rwm.times import iso

if TYPE_CHECKING:
    from rwm.trust import AuditReport
    from rwm.verify import Bisection, Outcome

ASSUMPTION = "what is wrong in a state stays wrong in all later ones"


def bisect(app: App, report: AuditReport, *, again: bool) -> None:
    """Search the states that the audit does not call suspect, and print the result. Raises CheckFailed if one fails."""
    from rwm.verify import bisect_states

    location = report.audit.location
    states = _candidates(report)
    if not states:
        raise StateNotFound(
            f"no recorded state of {location} can be checked",
            hint=f"`rwm state capture {quote(location)}` records one, `rwm state sync {quote(location)}` those in the "
            "bucket",
        )
    known = {} if again else _known_outcomes(app, location, states)
    bisection = bisect_states(states, known, partial(_check, app, location))
    skipped = sum(item.state.info.location.covers(location) for item in report.states) - len(states)
    if app.json:
        console.print_json(bisection_json(location, bisection, skipped))
    else:
        _print(location, bisection, skipped)
    if (failing := bisection.oldest_failing) is not None:
        raise CheckFailed(f"{location}: restic check fails on state {failing.short} and later ones")


def _candidates(report: AuditReport) -> list[StateInfo]:
    """The states of the whole location that can pass: not suspect, and with all of their versions."""
    found = [item for item in report.states if item.verdict != "suspect" and item.state.trust != "unknown"]
    return [item.state.info for item in found if item.state.info.location.covers(report.audit.location)]


def _known_outcomes(app: App, location: Location, states: list[StateInfo]) -> dict[str, Outcome]:
    """What earlier runs found, by state id. That a state fails says nothing of a part of it."""
    recorded = app.readonly_index.verifications.of_states()
    found: dict[str, Outcome] = {}
    for info in states:
        result = recorded.get(info.id, {}).get("restic")
        if result is None:
            continue
        if not result.faults:
            found[info.id] = "passed"
        elif count_repositories_below(app, info, location.prefix)[1]:
            found[info.id] = "failed"
    return found


def _check(app: App, location: Location, info: StateInfo) -> Outcome:
    """Check a state on a mount, and record the result."""
    from rwm import verify

    started = app.s3.server_time(info.bucket)
    repositories, is_whole = count_repositories_below(app, info, location.prefix)
    if not repositories:
        return "failed"
    console.print_note(f"restic check on state {info.short} of {iso(info.captured_at)}")
    console.warn_if_archived(info.id, app.readonly_index.storage_classes.of_state(info, location.prefix))
    checks = check_repositories(app, info, repositories, None)
    outcome = verify.judge_checks(info, checks)
    if outcome != "crashed" and is_whole:  # memory may have run out: the next run tries a crash again
        by = verify.describe_verifier(app.s3)
        report = verify.VerifyReport(info, "restic", started, lambda problem: None, by=by)
        verify.report_checks(checks, report)
        _record(app, info, report.restic())
    return outcome


def _record(app: App, info: StateInfo, result: Verification) -> None:
    try:
        app.index.verifications.record(info.id, "restic", result)
    except IndexUnusable as error:
        console.warn(f"the result is not recorded: {error.message}")


def bisection_json(location: Location, bisection: Bisection, skipped: int) -> dict[str, Any]:
    """The result as docs/scripts.md describes it."""
    return {
        "bucket": location.bucket,
        "prefix": location.prefix,
        "assumption": ASSUMPTION,
        "contradicts_assumption": bisection.contradicts_assumption,
        "states": len(bisection.states),
        "skipped": skipped,
        "newest_passing": _state_json(bisection.newest_passing),
        "oldest_failing": _state_json(bisection.oldest_failing),
        "checks": [
            {"id": check.info.id, "outcome": check.outcome, "recorded": check.recorded} for check in bisection.checks
        ],
    }


def _state_json(info: StateInfo | None) -> Mapping[str, Any] | None:
    return None if info is None else console.state_json(info)


def _print(location: Location, bisection: Bisection, skipped: int) -> None:
    made = sum(not check.recorded for check in bisection.checks)
    count = console.format_count(len(bisection.states), "state")
    beside = f", {console.format_count(skipped, 'suspect or incomplete one')} left out" if skipped else ""
    click.echo(f"{count} searched with {console.format_count(made, 'check')}{beside}; assumed: {ASSUMPTION}")
    if bisection.contradicts_assumption:
        console.warn("an older state fails: the assumption does not hold here; check each state by rwm state verify")
    rows = [
        (
            check.info.short,
            iso(check.info.captured_at),
            check.outcome + (" (before)" if check.recorded else ""),
        )
        for check in bisection.checks
    ]
    if rows:
        console.print_table(["state", "captured at", "restic check"], rows)
    newest = bisection.newest_passing
    if newest is None:
        click.echo("restic check passes on none of them")
        return
    short = newest.short
    click.echo(f"newest state that passes: {short} of {iso(newest.captured_at)}")
    console.print_command(f"rwmfs mount {quote(location)} --at {short} /mnt/repo")
