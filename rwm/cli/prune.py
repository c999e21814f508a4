"""``rwm prune``: delete the versions that no kept state needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rwm import console
from rwm.cli.audit_run import audit_settings
from rwm.cli.keep_options import keep_options, named_states_option, note_unjudged, read_rules
from rwm.cli.new_file import open_new
from rwm.cli.prune_lifecycle import print_lifecycle
from rwm.cli.prune_log import print_log, print_removed
from rwm.cli.prune_output import plan_json, print_plan, print_result, result_json
from rwm.cli.prune_refusal import raise_failures, raise_refusal
from rwm.cli.prune_simulation import simulate_and_print
from rwm.cli.shared_options import YES_OPTION
from rwm.console import LOCATION, App, common_options, pass_app
from rwm.errors import UsageError
from rwm.location import Location
from rwm.shell import quote
from rwm.times import parse_duration, parse_long_duration

if TYPE_CHECKING:
    from rwm.prune import PrunePlan
    from rwm.s3.listing import Lister
    from rwm.trust import LocationAudit

PLAN_FILE = click.Path(path_type=Path)


@click.command(short_help="Delete the versions in BUCKET that no kept state needs.")
@common_options
@click.argument("location", metavar="BUCKET[/PREFIX]", type=LOCATION, required=False)
@keep_options
@named_states_option
@click.option(
    "--min-age",
    default="0",
    metavar="DUR",
    help="Keep what was replaced or deleted less than DUR ago (30d, 12h, 6mo; default 0).",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and delete nothing.")
@click.option(
    "--simulate",
    "span",
    metavar="DUR",
    help="Print what the rules will keep during DUR (400d), by the index alone, if states come as often as the newest "
    "ones. Deletes nothing.",
)
@click.option("--plan-out", metavar="FILE", type=PLAN_FILE, help="Write the plan to a new FILE, and delete nothing.")
@click.option("--plan", "plan_file", metavar="FILE", type=PLAN_FILE, help="Execute the plan in FILE, and no other.")
@click.option(
    "--log", "is_log", is_flag=True, help="Print past prunes (without BUCKET, of this index), and delete nothing."
)
@click.option(
    "--removed", "prune_id", metavar="ID", help="Print each version that the past prune ID removed, and why; see --log."
)
@click.option(
    "--as-lifecycle",
    is_flag=True,
    help="Print the lifecycle rule that comes nearest, and what it cannot express. It is not applied.",
)
@click.option("--force", is_flag=True, help="Prune despite what speaks against it; that is printed as warnings.")
@YES_OPTION
@pass_app
def prune(
    app: App,
    location: Location | None,
    keep: Mapping[str, str],
    keep_state: tuple[str, ...],
    min_age: str,
    dry_run: bool,
    span: str | None,
    plan_out: Path | None,
    plan_file: Path | None,
    is_log: bool,
    prune_id: str | None,
    as_lifecycle: bool,
    force: bool,
    yes: bool,
) -> None:
    """Delete the versions in BUCKET that neither a kept state nor the current listing needs.

    The rules of `keep` in the configuration say which states are kept; a --keep option replaces the rule of its name.
    They are applied to the states of the whole bucket, and to those of each prefix by themselves, by the server's time
    in UTC. Only clean states count: one that is not is kept until it is judged. With a PREFIX, only what is below it is
    deleted, and all states of other locations are kept.

    BUCKET is audited first. Refused (exit code 5) if the newest kept state of a location is not complete or not clean,
    if a proof of an attack is younger than the newest clean one, or if the last clean state would be lost.
    --keep-state keeps that one too; `rwm audit --ack` acknowledges what is honest.

    --plan executes what --plan-out wrote, after every rule was applied anew to BUCKET as it is. Refused (5) if the file
    was altered, or if any version in it must stay now. After an interruption the same command does the rest.

    Unfinished uploads older than --min-age, and than a day, are aborted. A report of each prune is kept, see --log.
    """
    modes = {"--log": is_log, "--removed": prune_id, "--as-lifecycle": as_lifecycle, "--simulate": span}
    _check_modes(modes | {"--plan": plan_file})
    age = parse_long_duration(min_age)
    if plan_file and (keep or keep_state or age or plan_out):
        raise UsageError("--plan takes no other rules", hint="the file names the kept states and the minimum age")
    if is_log:
        print_log(app, location)
    elif location is None:
        raise UsageError("say which bucket to prune", hint="only --log works without one")
    elif prune_id is not None:
        print_removed(app, location, prune_id)
    elif as_lifecycle:
        print_lifecycle(app, location, read_rules(app, keep), keep_state, age)
    elif span is not None:
        simulate_and_print(app, location, read_rules(app, keep), parse_duration(span))
    else:
        plan = _read_plan(app, location, plan_file) if plan_file else _plan(app, location, keep, keep_state, age)
        _show_and_execute(app, plan, plan_out, dry_run=dry_run, force=force, yes=yes)


def _check_modes(modes: Mapping[str, object]) -> None:
    """Refuse more than one of the options that say what is done instead of a prune by the rules."""
    given = [name for name, value in modes.items() if value not in (None, False)]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", hint="run the command once for each")


def prune_and_print(app: App, location: Location, keep: Mapping[str, str], *, yes: bool) -> None:
    """Plan, print the plan, ask and execute: for an alias."""
    _show_and_execute(app, _plan(app, location, keep, (), 0), None, dry_run=False, force=False, yes=yes)


def _plan(
    app: App, location: Location, keep: Mapping[str, str], keep_state: tuple[str, ...], min_age: int
) -> PrunePlan:
    from rwm.prune import plan_prune
    from rwm.retention import select_kept_states
    from rwm.s3.listing import RecordedLister, check_location
    from rwm.storage import own_locks

    index, rules = app.readonly_index, read_rules(app, keep)
    check_location(app.s3, location)
    select_kept_states(index, location, rules, keep_state)  # fails early for a name of no state
    with closing(RecordedLister(app.s3)) as lister, console.show_progress(f"listing {location}") as progress:
        audit = _audit(app, location, progress, lister)
        kept = select_kept_states(index, location, rules, keep_state, audit)
        note_unjudged(location, kept, audit)
        return plan_prune(
            app.s3,
            index,
            location,
            kept,
            min_age=min_age,
            audit=audit,
            progress=progress,
            lister=lister,
            locked_states=own_locks(app.s3, location.bucket),
        )


def _read_plan(app: App, location: Location, path: Path) -> PrunePlan:
    from rwm.prune import plan_again, read_plan
    from rwm.s3.listing import RecordedLister
    from rwm.storage import own_locks

    stored = read_plan(path, location)
    with closing(RecordedLister(app.s3)) as lister, console.show_progress(f"listing {location}") as progress:
        audit = _audit(app, location, progress, lister)
        locked = own_locks(app.s3, location.bucket)
        return plan_again(app.s3, app.readonly_index, stored, audit, progress, lister, locked)


def _audit(app: App, location: Location, progress: Callable[[int], None], lister: Lister) -> LocationAudit:
    from rwm.trust import audit_location

    return audit_location(app.s3, location, audit_settings(app, location), progress, lister=lister)


def _show_and_execute(
    app: App, plan: PrunePlan, plan_out: Path | None, *, dry_run: bool, force: bool, yes: bool
) -> None:
    """Print the plan, then write it to a file or, unless it is only to be shown, ask and execute it."""
    _show(app, plan, force=force, is_last=dry_run or plan_out is not None)
    if plan_out is not None:
        _write_plan(app, plan, plan_out, force=force)
    elif not dry_run:
        _execute_and_print(app, plan, force=force, yes=yes)


def _show(app: App, plan: PrunePlan, *, force: bool, is_last: bool) -> None:
    """Print the plan, as JSON only if nothing follows; raise Refused if it must not be executed."""
    if app.json and is_last:
        console.print_json(plan_json(plan, force))
    elif not app.json:
        print_plan(plan)
    raise_refusal(plan, force)


def _write_plan(app: App, plan: PrunePlan, path: Path, *, force: bool) -> None:
    from rwm.prune import write_plan

    recorded = [info.id for info in app.readonly_index.states(plan.location)]
    with open_new(path) as file:
        write_plan(plan, recorded, file, force=force)
    if not app.json:
        command = f"rwm prune {quote(plan.location)} --plan {quote(path)}"
        console.print_text(f"nothing was deleted; `{command}` executes the plan")


def _execute_and_print(app: App, plan: PrunePlan, *, force: bool, yes: bool) -> None:
    from rwm.prune import prune_and_record

    index = app.index  # fails before anything is deleted if it cannot be written
    count = len(plan.versions) + len(plan.markers)
    if count:
        what = console.format_count(count, "version or marker", "versions and markers")
        console.confirm(f"Permanently delete {what}?", yes=yes)
    with console.show_progress(f"deleting from {plan.location}", count) as progress:
        done = prune_and_record(app.s3, index, plan, progress, force=force)
    if app.json:
        console.print_json(result_json(plan, done, force))
    else:
        print_result(done)
    if done.result.failures or done.result.locked or done.uploads.failed:
        raise_failures(done, count)
