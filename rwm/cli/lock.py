"""``rwm lock``: protect the versions of the kept states by Object Lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.audit_run import audit_settings
from rwm.cli.keep_options import keep_options, note_unjudged, read_rules
from rwm.cli.shared_options import LOCATION_ARGUMENT, MODE_OPTION, YES_OPTION
from rwm.console import App, common_options, pass_app
from rwm.errors import AccessDenied, PartlyDone, Refused, RwmError, UsageError
from rwm.location import Location
from rwm.model import LockMode
from rwm.shell import quote
from rwm.times import DAY, SECOND, iso, parse_long_duration

if TYPE_CHECKING:
    from rwm.lock import LockCost, LockPlan, LockResult, LockTiming
    from rwm.s3 import DefaultRetention
    from rwm.trust import KeepPolicy


@click.command(short_help="Lock the versions of the kept states in BUCKET (Object Lock).")
@common_options
@LOCATION_ARGUMENT
@keep_options
@MODE_OPTION
@click.option("--every", metavar="DUR", help="How often this command is run (default: 1d).")
@click.option("--step", metavar="DUR", help="By how much a lock is extended at a time (default: 10d).")
@click.option("--again", is_flag=True, help="Also lock what is locked long enough by the index (a request for each).")
@click.option("--dry-run", is_flag=True, help="Print the plan and lock nothing.")
@YES_OPTION
@pass_app
def lock(
    app: App,
    location: Location,
    keep: Mapping[str, str],
    mode: LockMode | None,
    every: str | None,
    step: str | None,
    again: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Lock every version that a kept state needs, for as long as one needs it.

    The same rules as for `rwm prune` say which states are kept. Run the command regularly, as often as `lock` in the
    configuration says. A lock is only extended, never shortened. A locked version cannot be deleted, also not with the
    admin's keys; in governance mode an account with a permission to bypass it can.

    BUCKET is audited first, because only clean states count for the rules. It needs Object Lock, which a bucket has
    from its creation on (`rwm storage create --lock`).
    """
    rules = read_rules(app, keep)
    if rules.is_empty:
        raise UsageError("no rule keeps a state", hint="set `keep` in the configuration, or --keep-last N and so on")
    default = require_object_lock(app, location)
    timing = _timing(app, location, every, step, default)
    plan = _plan(app, location, rules, choose_mode(app, mode, default), timing, again=again)
    if default is None and not app.json:
        console.print_note(
            f"note: bucket {location.bucket} has no default retention: what is written is locked by the next run"
        )
    show_and_lock(app, plan, dry_run=dry_run, yes=yes)


def _timing(
    app: App, location: Location, every: str | None, step: str | None, default: DefaultRetention | None
) -> LockTiming:
    """When the command runs, from options and configuration. Raises Refused if what is new could be without a lock."""
    from rwm.lock import LockTiming, find_gap
    from rwm.s3.listing import check_location

    check_location(app.s3, location)
    timing = LockTiming(
        app.s3.server_time(location.bucket),
        _positive("--every", every or app.config.lock.every),
        _positive("--step", step or app.config.lock.step),
    )
    if gap := find_gap(timing, None if default is None else default.duration):
        raise Refused(f"lock of {location} every {console.format_age(timing.every)} refused: {gap}", hint=_RARELY)
    return timing


def _plan(
    app: App, location: Location, rules: KeepPolicy, mode: LockMode, timing: LockTiming, *, again: bool
) -> LockPlan:
    from rwm.lock import plan_locks
    from rwm.trust import audit_location

    index = app.readonly_index
    with console.show_progress(f"listing {location}") as progress:
        audit = audit_location(app.s3, location, audit_settings(app, location), progress)
    plan = plan_locks(index, location, rules, mode, timing, audit, again=again)
    note_unjudged(location, (info for info in index.states(location) if info.id in plan.kept_until), audit)
    if not plan.kept_until:
        raise RwmError(
            f"no state of {location.described} is recorded that the rules may keep",
            hint=f"`rwm state capture {quote(location)}` records one, `rwm state sync {quote(location)}` fetches those "
            "of the bucket",
        )
    return plan


_RARELY = "renew the locks more often (--every, and the timer), or give the bucket a longer default retention"


def require_object_lock(app: App, location: Location) -> DefaultRetention | None:
    """The bucket's default retention. Raises RwmError with the consequence if it has no Object Lock."""
    if app.s3.has_object_lock(location.bucket):
        return app.s3.default_retention(location.bucket)
    raise RwmError(
        f"bucket {location.bucket} has no Object Lock: nothing can be locked, and whoever has the admin's keys can "
        "delete every version",
        hint="most servers enable it only when a bucket is created: `rwm storage create BUCKET USER --lock "
        "governance:30`; docs/servers.md says which have it",
    )


def choose_mode(app: App, mode: LockMode | None, default: DefaultRetention | None) -> LockMode:
    """The mode of new locks: the option, the configuration, the bucket's default, or governance."""
    return mode or app.config.lock.mode or (default.mode if default is not None else "governance")


def show_and_lock(app: App, plan: LockPlan, *, dry_run: bool, yes: bool, is_one_state: bool = False) -> None:
    """Print what the plan costs, ask, and execute it. Shared with `rwm state lock`."""
    from rwm.lock import describe_mode, lock_and_record, plan_own_locks

    cost, own = plan.cost(), plan_own_locks(app.s3, app.readonly_index, plan)
    due = cost.due + len(own)
    if app.json and dry_run:
        console.print_json(_plan_json(plan, cost, len(own)))
    elif not app.json:
        _print_plan(plan, cost, len(own))
    if dry_run:
        return
    index = app.index  # fails before anything is locked if it cannot be written
    if due:
        latest = max(cost.latest, *(lock.change.retention.until for lock in own), 0)
        consequence = describe_mode(plan.mode, latest)
        console.confirm(f"Lock {console.format_count(due, 'version')} ({consequence})?", yes=yes)
    with console.show_progress(f"locking in {plan.location}", due) as progress:
        result = lock_and_record(app.s3, index, plan, own, cost.due, progress, is_one_state=is_one_state)
    if app.json:
        console.print_json(_plan_json(plan, cost, len(own)) | _result_json(result))
    else:
        click.echo(f"locked {console.format_count(result.locked, 'version')}")
    if result.failed:
        _raise_failures(result, due)


def _positive(option: str, text: str) -> int:
    found = parse_long_duration(text)
    if found < SECOND:
        raise UsageError(f"{option} is too short: {text}", hint="write it as 1d or 12h")
    return found


def _raise_failures(result: LockResult, due: int) -> None:
    if result.is_denied:
        raise AccessDenied(
            "nothing was locked: this account may not set the retention of versions",
            hint="lock with the configuration of the admin",
        )
    first = result.failures[0]
    raise PartlyDone(
        f"{result.failed} of {due} versions were not locked; the first: {first.key} version {first.version_id}: "
        f"{first.code}",
        hint="run the command again: it goes on with these; NoSuchVersion: rwm state verify says what is missing",
    )


def _plan_json(plan: LockPlan, cost: LockCost, own: int) -> dict[str, Any]:
    return {
        "bucket": plan.location.bucket,
        "prefix": plan.location.prefix,
        "mode": plan.mode,
        "states": [{"id": state, "kept_until": iso(until)} for state, until in plan.kept_until.items()],
        "needed_versions": cost.needed,
        "requests": cost.due + own,
        "own_files": own,
        "lapsed": cost.lapsed,
        "latest": iso(cost.latest) if cost.latest else None,
    }


def _result_json(result: LockResult) -> dict[str, Any]:
    return {
        "locked": result.locked,
        "longer": result.longer,
        "failed": result.failed,
        "failures": [failure._asdict() for failure in result.failures],
    }


def _print_plan(plan: LockPlan, cost: LockCost, own: int) -> None:
    states = console.format_count(len(plan.kept_until), "kept state")
    click.echo(console.escape(f"locks in {plan.location}: {states}, mode {plan.mode}"))
    days = -(-(cost.latest - plan.timing.now) // DAY) if cost.latest else 0
    rows = [
        ("needed versions", cost.needed, ""),
        ("locked for long enough", cost.needed - cost.due, ""),
        (
            "to lock now: requests",
            cost.due + own,
            f"until {iso(cost.latest)} at the latest, {days} days" if days else "",
        ),
        *([("of those, RWM's own files", own, "")] if own else []),
        *([("of those, the lock had ended", cost.lapsed, "")] if cost.lapsed else []),
    ]
    console.print_table(["", "count", ""], rows, right=(1,))
    if cost.lapsed:
        console.warn("locks of versions that are needed had ended: run this command more often, or raise --every")
