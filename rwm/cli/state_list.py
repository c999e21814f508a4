"""``rwm state list``: the recorded states of a location, or the locations of a whole account."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import LOCATION, App, common_options, pass_app
from rwm.errors import PartlyDone, StateNotFound, UsageError
from rwm.location import Location
from rwm.model import Level, RecordedState, Verification
from rwm.phrases import name_some
from rwm.shell import quote
from rwm.times import SECOND, iso, looks_like_time, parse_duration, parse_time

if TYPE_CHECKING:
    from rwm.states import LocationSummary


@click.command("list")
@common_options
@click.argument("location", metavar="[BUCKET[/PREFIX]]", required=False, type=LOCATION)
@click.option("-b", "--bucket", "option", metavar="BUCKET[/PREFIX]", type=LOCATION, help="The same as the argument.")
@click.option("--since", metavar="TIME", help="Only states of that UTC time and later; 30d: of the last 30 days.")
@click.option("--all", "whole_account", is_flag=True, help="Summarise every bucket of the account and every prefix.")
@pass_app
def list_(app: App, location: Location | None, option: Location | None, since: str | None, whole_account: bool) -> None:
    """List the recorded states, oldest first.

    All of them, or those of a bucket or of a prefix in it. With --all, the buckets of the account are asked for states
    that are not recorded here, and each bucket or prefix with states is one line; exit code 3 if a bucket could not be
    read. Of a bucket with very many directories, `rwm state sync` may find more.
    """
    if None not in (location, option) and location != option:
        raise UsageError(f"two buckets are named: {location} and {option}")
    location = option if location is None else location
    if whole_account:
        if location or since is not None:
            raise UsageError("--all is about every bucket and every state: use it without BUCKET and --since")
        _list_account(app)
        return
    start = 0 if since is None else parse_time_or_age(since)
    states = [state for state in app.readonly_index.recorded(location) if state.info.captured_at >= start]
    if not states:
        _print_why_none(app.config.index_path, location, "" if since is None else f" since {iso(start)}")
    verified = app.readonly_index.verifications.of_states()
    if app.json:
        console.print_json([_state_json(state, verified.get(state.info.id, {})) for state in states])
    elif states:
        _print_states(states, verified, _last_clean(app, location, states))


def _state_json(state: RecordedState, verified: Mapping[Level, Verification]) -> dict[str, Any]:
    return {**console.recorded_state_json(state), **console.verification_json(verified)}


def _last_clean(app: App, location: Location | None, states: Sequence[RecordedState]) -> set[str]:
    """The id of the last clean state of the location, or of each location that a state is of."""
    found = set()
    for place in {state.info.location for state in states} if location is None else {location}:
        with suppress(StateNotFound):
            found.add(app.readonly_index.last_clean(place).info.id)
    return found


def _print_states(
    states: Sequence[RecordedState], verified: Mapping[str, Mapping[Level, Verification]], last_clean: Collection[str]
) -> None:
    now = int(time.time()) * SECOND
    rows = [
        (
            state.info.short,
            state.info.location,
            iso(state.info.captured_at),
            console.format_age(now - state.info.captured_at),
            state.info.origin + (f" ({state.info.outcome})" if state.info.outcome else ""),
            state.trust,
            "clean (last)" if state.info.id in last_clean else state.verdict or "",
            console.describe_verified(verified.get(state.info.id, {})),
            state.info.objects,
            console.format_size(state.info.bytes),
        )
        for state in states
    ]
    headings = ["id", "location", "captured at", "age", "origin", "trust", "verdict", "verified", "objects", "size"]
    console.print_table(headings, rows, right=(3, 8, 9))


def _print_why_none(index: Path, location: Location | None, when: str) -> None:
    from rwm.index import missing_index

    if missing := missing_index(index, location):
        console.print_note(missing.message, f"  {missing.hint}")
        return
    where = "of any bucket" if location is None else f"of {location.described}"
    place = "BUCKET" if location is None else str(location)
    console.print_note(
        f"no state {where}{when} is in the index {index}",
        f"  `rwm state sync {quote(place)}` reads the states that the bucket holds",
        f"  `rwm state capture {quote(place)}` records one, with --at TIME one of the past, from the bucket's history",
    )


def parse_time_or_age(text: str) -> int:
    """``2026-11-01`` or ``30d`` (ago, by the clock of this machine) as a time in milliseconds. Raises UsageError."""
    if looks_like_time(text):
        return parse_time(text)
    try:
        age = parse_duration(text)
    except UsageError as error:
        raise UsageError(
            f"{text!r} is neither a time nor an age", hint="write it as 2026-11-20T10:00:00Z, or as 30d"
        ) from error
    return max(0, int(time.time()) * SECOND - age)


def _list_account(app: App) -> None:
    from rwm.states import summarize_account

    with console.show_progress("looking into buckets") as progress:
        summaries = summarize_account(app.s3, app.readonly_index, progress)
    errors = {summary.location.bucket: summary.error for summary in summaries if summary.error}
    for bucket, error in errors.items():
        console.warn(f"bucket {bucket}: {error}")
    if app.json:
        console.print_json([_summary_json(summary) for summary in summaries])
    else:
        _print_summaries(summaries)
    if new := [summary.location for summary in summaries if summary.unrecorded]:
        noun = "location has" if len(new) == 1 else "locations have"
        sync = name_some([f"`rwm state sync {quote(location)}`" for location in new])
        verb = "records" if len(new) == 1 else "record"
        console.print_note(f"{len(new)} {noun} states that are not in this index: {sync} {verb} them")
    if errors:
        buckets = len({summary.location.bucket for summary in summaries})
        raise PartlyDone(f"{len(errors)} of {console.format_count(buckets, 'bucket')} could not be read")


def _summary_json(summary: LocationSummary) -> dict[str, Any]:
    return {
        "bucket": summary.location.bucket,
        "prefix": summary.location.prefix,
        "states": summary.states,
        "last": None if summary.last is None else console.recorded_state_json(summary.last),
        "unrecorded": summary.unrecorded,
        "error": summary.error or None,
    }


def _print_summaries(summaries: Sequence[LocationSummary]) -> None:
    now = int(time.time()) * SECOND
    rows = [(each.location, each.states, *_describe_last(each.last, now), _note(each)) for each in summaries]
    headings = ["location", "states", "last state", "captured at", "age", "trust", "objects", "size", "note"]
    console.print_table(headings, rows, right=(1, 4, 6, 7))


def _describe_last(last: RecordedState | None, now: int) -> tuple[object, ...]:
    """The cells of the last state; empty without one."""
    if last is None:
        return ("",) * 6
    info = last.info
    return (
        info.short,
        iso(info.captured_at),
        console.format_age(now - info.captured_at),
        last.trust,
        info.objects,
        console.format_size(info.bytes),
    )


def _note(summary: LocationSummary) -> str:
    if summary.error:
        return "not readable"
    return f"{summary.unrecorded} not recorded" if summary.unrecorded else ""
