"""``rwm storage adopt``: a bucket with repositories in it becomes a protected one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.capture import try_capture
from rwm.cli.shared_options import LOCATION_ARGUMENT, YES_OPTION
from rwm.cli.state import describe_state
from rwm.cli.storage_access import print_users, rights_options, user_texts
from rwm.console import App, common_options, pass_app
from rwm.errors import PartlyDone, RwmError
from rwm.location import Location
from rwm.model import StateInfo

if TYPE_CHECKING:
    from rwm.storage import AdoptionPlan, Pinned

_SHOWN = 10
"""Keys that are named one by one."""


class _Size(click.ParamType[int]):
    """``1M``, ``64K``: bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        try:
            return value if isinstance(value, int) else console.parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(short_help="Make a bucket with repositories in it a protected one.")
@common_options
@LOCATION_ARGUMENT
@click.argument("users", metavar="USER[:PREFIX]...", nargs=-1, required=True)
@rights_options
@click.option("--pin", is_flag=True, help="Copy small objects without a version id (null) in place.")
@click.option(  # all but packs by default
    "--pin-size", metavar="SIZE", type=_Size(), default="1M", show_default=True, help="The largest object to copy."
)
@click.option("--dry-run", is_flag=True, help="Only print the plan.")
@YES_OPTION
@pass_app
def adopt(
    app: App,
    location: Location,
    users: Sequence[str],
    strict: bool | None,
    version_reads: bool | None,
    pin: bool,
    pin_size: int,
    dry_run: bool,
    yes: bool,
) -> None:
    """Make BUCKET, which has restic repositories in it, a protected bucket. No byte is moved.

    Prints a plan and what cannot be known about the past, asks, enables versioning, replaces policy and ACL, disables
    lifecycle rules, and captures a first state. BUCKET must belong to this account; USERs as in `storage create`.

    --pin copies small objects that were written without versioning onto themselves: the copy has a version id of its
    own. Safe to repeat, also after an interruption.
    """
    from rwm.storage import Rights, apply_adoption, is_adopted, plan_adoption

    texts, rights = user_texts(location, users), Rights(strict, version_reads)
    bucket = location.bucket
    with console.show_progress(f"listing {bucket}") as progress:
        plan = plan_adoption(app.s3, bucket, texts, rights, pin_size, progress, console.warn)
    if not app.json:
        _print_plan(plan, pin=pin)
    is_done = not dry_run and is_adopted(app.index, plan, pin=pin)
    if is_done and not app.json:
        click.echo(f"bucket {bucket} is adopted already: nothing to do")
    if dry_run or is_done:
        if app.json:
            console.print_json(_json(plan, None, None))
        return
    if plan.steps or (pin and plan.past.small):
        console.confirm(f"Make bucket {bucket} a protected one?", yes=yes)
    with console.show_progress(f"pinning {bucket}", plan.past.small if pin else 0) as progress:
        pinned = apply_adoption(app.s3, app.index, plan, pin=pin, progress=progress)
    state, failure = try_capture(app, Location(bucket))
    if app.json:
        console.print_json(_json(plan, pinned, state))
    else:
        _print_result(bucket, pinned, state, pin=pin)
    _check_whole(bucket, pinned, failure)


def _check_whole(bucket: str, pinned: Pinned, failure: RwmError | None) -> None:
    """Raise PartlyDone if the bucket is protected, and something else of an adoption is not done."""
    if failure is not None:
        raise PartlyDone(
            f"bucket {bucket} is protected, but its state is not captured: {failure.message}", hint=failure.hint
        )
    if pinned.failed:
        key, why = pinned.failed[0]
        count = console.format_count(len(pinned.failed), "object")
        raise PartlyDone(f"bucket {bucket} is protected, but {count} could not be pinned; {key}: {why}")


def _print_plan(plan: AdoptionPlan, *, pin: bool) -> None:
    print_users(plan.users)
    click.echo()
    for root, owner in plan.owners.items():
        text = f"repository {Location(plan.bucket, root)}: its objects belong to {owner or 'an unknown account'}"
        click.echo(console.escape(text))
    for step in plan.steps:
        click.echo(console.escape(f"change {step.detail}"))
    if not plan.steps:
        click.echo(f"bucket {plan.bucket}: no setting has to change")
    for line in _describe_pins(plan, pin=pin):
        click.echo(console.escape(line))
    for line in _unknown(plan):
        click.echo(f"not known: {line}")
    for note in plan.notes:
        console.warn(note)


def _unknown(plan: AdoptionPlan) -> list[str]:
    from rwm.storage import describe_unknown

    return describe_unknown(plan.past)


def _describe_pins(plan: AdoptionPlan, *, pin: bool) -> list[str]:
    past = plan.past
    if not past.null:
        return []
    size = console.format_size(past.limit)
    small = f"{console.format_count(past.small, 'object')}, {console.format_size(past.small_bytes)}, up to {size} each"
    lines = [f"{'pin' if pin else 'not pinned (--pin does)'}: {small}"] if past.small else []
    if past.large:
        large = f"{console.format_count(past.large, 'object')}, {console.format_size(past.large_bytes)}"
        lines.append(f"not pinned, larger than {size} (--pin-size): {large}")
        lines += [f"  {key}" for key in past.large_keys[:_SHOWN]]
        if past.large > _SHOWN:
            lines.append(f"  and {past.large - _SHOWN} more")
    return lines


def _print_result(bucket: str, pinned: Pinned, state: StateInfo | None, *, pin: bool) -> None:
    if pin:
        click.echo(f"pinned {console.format_count(pinned.objects, 'object')}, {console.format_size(pinned.bytes)}")
    click.echo(console.escape(f"bucket {bucket} is protected"))
    if state is not None:
        click.echo(console.escape(f"captured {describe_state(state)}"))


def _json(plan: AdoptionPlan, pinned: Pinned | None, state: StateInfo | None) -> dict[str, Any]:
    past = plan.past
    return {
        "bucket": plan.bucket,
        "users": [access._asdict() for access in plan.users],
        "repositories": [{"prefix": root, "owner": owner or None} for root, owner in plan.owners.items()],
        "steps": [{"setting": step.setting, "detail": step.detail} for step in plan.steps],
        "applied": pinned is not None,
        "versioning_before": past.versioning,
        "objects": past.objects,
        "null": {"objects": past.null, "bytes": past.null_bytes},
        "pinnable": {"objects": past.small, "bytes": past.small_bytes},
        "too_large": {"objects": past.large, "bytes": past.large_bytes, "keys": past.large_keys},
        "unknown": _unknown(plan),
        "notes": plan.notes,
        "pinned": None if pinned is None else {"objects": pinned.objects, "bytes": pinned.bytes},
        "not_pinned": None if pinned is None else [{"key": key, "why": why} for key, why in pinned.failed],
        "state": None if state is None else state.id,
    }
