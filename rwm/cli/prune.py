"""``rwm prune``: delete the versions that no kept state needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.keep_options import keep_options, named_states_option, read_rules
from rwm.cli.prune_simulation import simulate_and_print
from rwm.cli.state import LOCATION_ARGUMENT
from rwm.cli.storage import YES_OPTION
from rwm.console import App, common_options, pass_app
from rwm.errors import AccessDenied, PartlyDone, Refused
from rwm.location import Location
from rwm.times import parse_duration

if TYPE_CHECKING:
    from rwm.retention import LocationPlan, PrunePlan, PruneResult

MAX_NAMED = 3
"""Commands named in one hint."""


@click.command(short_help="Delete the versions in BUCKET that no kept state needs.")
@common_options
@LOCATION_ARGUMENT
@keep_options
@named_states_option
@click.option(
    "--min-age",
    default="0",
    metavar="DUR",
    help="Keep what was replaced or deleted less than DUR ago (30d, 12h; default 0).",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and delete nothing.")
@click.option(
    "--simulate", "span", metavar="DUR", help="Print what the rules will keep during DUR (400d), and delete nothing."
)
@click.option("--force", is_flag=True, help="Prune despite what speaks against it; that is printed as warnings.")
@YES_OPTION
@pass_app
def prune(
    app: App,
    location: Location,
    keep: Mapping[str, str],
    keep_state: tuple[str, ...],
    min_age: str,
    dry_run: bool,
    span: str | None,
    force: bool,
    yes: bool,
) -> None:
    """Delete the versions in BUCKET that neither a kept state nor the current listing needs.

    Which states are kept, the rules of `keep` in the configuration and the --keep options say; an option takes the
    place of the rule of its name. They are applied to the states of the whole bucket and to those of each prefix by
    themselves, by the server's time in UTC. Only clean states count: one that is not is kept until it is judged. With a
    PREFIX, only what is below it is deleted, and all states of other locations are kept.

    BUCKET is audited first. Refused (exit code 5) if the newest kept state of a location is not complete or not clean,
    if a proof of an attack is younger than the newest clean one, or if the last clean state would be lost.
    --keep-state keeps that one too; `rwm audit --ack` acknowledges what is honest.

    --simulate reads the index alone: it assumes that states will be captured as often as the newest ones were.
    """
    age = parse_duration(min_age)
    if span is not None:
        simulate_and_print(app, location, read_rules(app, keep), parse_duration(span))
        return
    prune_and_print(app, location, keep, keep_state, age, dry_run=dry_run, force=force, yes=yes)


def prune_and_print(
    app: App,
    location: Location,
    keep: Mapping[str, str],
    keep_state: tuple[str, ...],
    min_age: int,
    *,
    dry_run: bool,
    force: bool,
    yes: bool,
) -> None:
    """Plan, print the plan, ask and execute. Shared with an alias."""
    from rwm.retention import plan_prune, select_kept_states
    from rwm.s3.listing import check_location
    from rwm.storage import own_changes
    from rwm.trust import audit_location, make_settings

    index, rules = app.readonly_index, read_rules(app, keep)
    check_location(app.s3, location)
    select_kept_states(index, location, rules, keep_state)  # fails early for a name of no state
    own = own_changes(app.s3, index, location)
    settings = make_settings(app.config, index.audits.acknowledged(location), own)
    with console.show_progress(f"listing {location}") as progress:
        audit = audit_location(app.s3, location, settings, progress)
        kept = select_kept_states(index, location, rules, keep_state, audit)
        plan = plan_prune(app.s3, index, location, kept, min_age=min_age, audit=audit, progress=progress)
    if app.json and dry_run:
        console.print_json(_plan_json(plan, force))
    elif not app.json:
        _print_plan(plan)
    _raise_refusal(plan, force)
    if not dry_run:
        _execute_and_print(app, plan, force=force, yes=yes)


def _execute_and_print(app: App, plan: PrunePlan, *, force: bool, yes: bool) -> None:
    from rwm.retention import prune_and_forget

    index = app.index  # fails before anything is deleted if it cannot be written
    count = len(plan.versions) + len(plan.markers)
    if count:
        console.confirm(f"Permanently delete {count} versions and markers?", yes=yes)
    with console.show_progress(f"deleting from {plan.location}", count) as progress:
        result = prune_and_forget(app.s3, index, plan, progress)
    if app.json:
        deleted = {"versions": result.versions, "markers": result.markers, "bytes": result.bytes}
        failures = {"failures": [failure._asdict() for failure in result.failures]}
        console.print_json(_plan_json(plan, force) | deleted | failures)
    else:
        freed = console.format_size(result.bytes)
        click.echo(f"deleted {result.versions} versions and {result.markers} markers, {freed}")
    if result.failures:
        _raise_failures(result, count)


def _raise_refusal(plan: PrunePlan, force: bool) -> None:
    for finding in plan.findings if force else ():
        console.warn(f"overridden: {finding}")
    reasons = [*plan.refused, *(() if force else plan.findings)]
    if reasons:
        audit = f"; `rwm audit {plan.location}` shows the findings and acknowledges what is honest (--ack)"
        advice = audit if plan.findings else ""
        advice += "" if plan.refused else ", --force prunes anyway"
        hint = f"nothing was deleted{advice}{_advise_on_the_rest(plan, force)}"
        raise Refused(f"prune of {plan.location} refused: {'; '.join(reasons)}", hint=hint)


def _advise_on_the_rest(plan: PrunePlan, force: bool) -> str:
    """The commands for the prefixes that nothing speaks against."""
    if plan.bucket_refused:
        return ""
    places = [place.location for place in plan.prunable_prefixes(force=force)]
    commands = ", ".join(f"`rwm prune {place}`" for place in places[:MAX_NAMED])
    more = f" and so on for {len(places) - MAX_NAMED} more" if len(places) > MAX_NAMED else ""
    verb = "prunes" if len(places) == 1 else "prune"
    return f"; {commands}{more} {verb} the rest" if places else ""


def _raise_failures(result: PruneResult, count: int) -> None:
    first = result.failures[0]
    if result.versions + result.markers == 0 and {failure.code for failure in result.failures} == {"AccessDenied"}:
        raise AccessDenied(
            "nothing was deleted: this account may not delete versions, or all of them are locked",
            hint="prune with the configuration of the admin",
        )
    raise PartlyDone(
        f"{len(result.failures)} of {count} versions and markers were not deleted; the first: {first.key} "
        f"version {first.version_id}: {first.code}",
        hint="run the command again; locked versions stay until their retention ends",
    )


def _plan_json(plan: PrunePlan, force: bool) -> dict[str, Any]:
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
        "too_young": plan.too_young,
        "uncovered": plan.uncovered,
        "first_versions": plan.first_versions,
        "evidence": plan.evidence,
        "files_read": plan.files_read,
        "refused": [*plan.refused, *(() if force else plan.findings)],
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
        "refused": [*place.refused, *(() if force else place.findings)],
    }


def _print_plan(plan: PrunePlan) -> None:
    if len(plan.locations) > 1:
        click.echo(console.escape(f"plan for {plan.location}"))
        _print_locations(plan)
    else:
        states = ", ".join(info.id[: console.SHORT_ID] for info in plan.kept_states)
        click.echo(console.escape(f"plan for {plan.location}; kept states: {states or 'none'}"))
    console.print_table(
        ["", "count", "size"],
        [
            ("delete: versions", len(plan.versions), console.format_size(plan.bytes)),
            ("delete: markers", len(plan.markers), ""),
            ("delete: states that need them", len(plan.lost_states), ""),
            ("keep: needed versions", plan.kept_versions, ""),
            ("keep: too young", plan.too_young, ""),
            ("keep: locked", plan.locked, ""),
            *((label, count, "") for label, count in _rare_counts(plan).items() if count),
        ],
        right=(1, 2),
    )


def _rare_counts(plan: PrunePlan) -> dict[str, int]:
    return {
        "keep: covered by no kept state": plan.uncovered,
        "keep: first versions of names written again": plan.first_versions,
        "keep: evidence for the audit": plan.evidence,
        "read before the prune: files of kept states": plan.files_read,
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
