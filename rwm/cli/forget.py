"""``rwm forget``: remove the snapshots that the retention does not keep, by the server's time of their upload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.audit_run import audit_versions, judge_states
from rwm.cli.shared_options import LOCATION_ARGUMENT, YES_OPTION
from rwm.console import App, common_options, pass_app
from rwm.errors import PartlyDone, Refused
from rwm.location import Location
from rwm.model import SHORT_ID
from rwm.phrases import name_some
from rwm.times import iso, iso_second

if TYPE_CHECKING:
    from rwm.forget import ForgetPlan, ForgetResult, JudgedSnapshot


@click.command(short_help="Remove the snapshots that the retention does not keep.")
@common_options
@LOCATION_ARGUMENT
@click.option(
    "--group-by", metavar="LIST", help="Group by host, paths, tags, or '' for none of them (default: host,paths)."
)
@click.option(
    "--late-uploads",
    is_flag=True,
    help="Remove also what the rules keep by restic's own time: copied, rewritten, or with false times.",
)
@click.option("--no-prune", is_flag=True, help="Do not run `restic prune` afterwards.")
@click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
@YES_OPTION
@pass_app
def forget(
    app: App, location: Location, group_by: str | None, late_uploads: bool, no_prune: bool, dry_run: bool, yes: bool
) -> None:
    """Remove the snapshots of the repository at BUCKET that the configured retention does not keep.

    For the admin, in place of `restic forget` on the machine. The rules are restic's, applied to the time at which the
    server got each snapshot's file: restic's own time is chosen by the machine. Days begin at midnight UTC. The plan is
    shown, restic removes exactly what it names and prunes, and a state records the result.

    Refused (exit code 5) if the audit has an open proof for the repository, if the retention keeps nothing, if no
    snapshot of a group would stay, and if snapshots were uploaded so late that the rules keep them only by restic's own
    time: `restic copy`, `tag` or a restored bucket does that (--late-uploads removes them all the same).

    What is removed is hidden, and stays in older states until `rwm prune`.
    """
    from rwm.forget import plan_forget, read_policy

    policy = read_policy(app.config.retention, app.config.retention_extras, group_by)
    if policy.counts_alone:
        console.warn("retention has no rule about time: many forged snapshots could push out the real ones")
    report = judge_states(app, audit_versions(app, location), app.readonly_index)
    plan = plan_forget(app.s3, app.config, report, policy)
    if not app.json:
        _print_plan(plan)
    elif dry_run or plan.refused or not plan.removed or (plan.late and not late_uploads):
        console.print_json(plan_json(plan))
    _warn_of_unjudged(plan)
    if plan.refused:
        raise Refused(
            f"forget of {plan.repository} refused: {name_some(plan.refused, separator='; ')}",
            hint="nothing was removed; add a rule that keeps some, as keep-last: 1",
        )
    if plan.late and not late_uploads:
        count = console.format_count(len(plan.late), "snapshot")
        raise Refused(
            f"forget of {plan.repository} refused: {count} would be removed that the rules keep by restic's own time, "
            "because of an upload more than a day later",
            hint="nothing was removed; were they copied or rewritten, or are their times false? --late-uploads removes "
            "them all the same",
        )
    if plan.removed and not dry_run:
        _execute_and_print(app, plan, location, prune=not no_prune, yes=yes)


def _execute_and_print(app: App, plan: ForgetPlan, location: Location, *, prune: bool, yes: bool) -> None:
    from rwm.forget import execute_forget

    index = app.index  # fails before anything is removed if it cannot be written
    count = console.format_count(len(plan.removed), "snapshot")
    console.confirm(f"Remove {count} from {plan.repository}?", yes=yes)
    on_line = (lambda _, line: console.print_note(line)) if app.json else None
    result = execute_forget(app.s3, index, app.config, plan, location, prune=prune, on_line=on_line, warn=console.warn)
    if app.json:
        console.print_json(plan_json(plan) | result_json(result))
    else:
        removed = console.format_count(len(result.removed), "snapshot")
        click.echo(f"removed {removed}{' and pruned' if result.is_pruned else ''}")
        if result.state:
            click.echo(f"state {result.state.short} records it")
    _raise_failures(plan, result)


def _raise_failures(plan: ForgetPlan, result: ForgetResult) -> None:
    if result.error and not result.removed:
        raise result.error
    failures = [str(error) for error in (result.error, result.capture_error) if error]
    if result.left and not result.error:
        failures.insert(0, f"{console.format_count(len(result.left), 'snapshot')} could not be removed")
    if failures:
        hint = result.error.hint if result.error else ""
        raise PartlyDone(f"forget of {plan.repository}: {'; '.join(failures)}", hint=hint)


def _warn_of_unjudged(plan: ForgetPlan) -> None:
    if plan.unread:
        count = console.format_count(len(plan.unread), "snapshot file")
        console.warn(f"{count} that restic cannot read: kept, the first is {plan.unread[0][:SHORT_ID]}")
    if plan.too_young:
        console.print_note(f"{console.format_count(len(plan.too_young), 'snapshot')} uploaded since the audit: kept")


def plan_json(plan: ForgetPlan) -> dict[str, Any]:
    """The plan as documented in docs/scripts.md."""
    return {
        "bucket": plan.repository.bucket,
        "prefix": plan.repository.prefix,
        "retention": dict(plan.policy.rules),
        "group_by": list(plan.policy.group_by),
        "keep": plan.kept,
        "remove": plan.removed,
        "groups": [
            {
                "host": group.key.host,
                "paths": list(group.key.paths),
                "tags": list(group.key.tags),
                "snapshots": [_snapshot_json(judged) for judged in group.snapshots],
            }
            for group in plan.groups
        ],
        "late_uploads": plan.late,
        "unread": list(plan.unread),
        "too_young": list(plan.too_young),
        "refused": plan.refused,
    }


def _snapshot_json(judged: JudgedSnapshot) -> dict[str, Any]:
    snapshot = judged.snapshot
    return {
        "id": snapshot.id,
        "uploaded_at": iso(judged.uploaded_at),
        "time": iso(snapshot.time),
        "host": snapshot.host,
        "paths": list(snapshot.paths),
        "tags": list(snapshot.tags),
        "rules": list(judged.rules),
    }


def result_json(result: ForgetResult) -> dict[str, Any]:
    """What was done, as documented in docs/scripts.md."""
    return {
        "removed": result.removed,
        "left": result.left,
        "pruned": result.is_pruned,
        "state": result.state and result.state.id,
        "errors": [str(error) for error in (result.error, result.capture_error) if error],
    }


def _print_plan(plan: ForgetPlan) -> None:
    rules = ", ".join(f"{name} {value}" for name, value in plan.policy.rules.items())
    click.echo(console.escape(f"plan for {plan.repository}; {rules}"))
    if plan.groups:
        console.print_table(["", "snapshot", "uploaded", "restic's time", "host", "paths"], _rows(plan))
    click.echo(f"keep {plan.kept}, remove {len(plan.removed)}")


def _rows(plan: ForgetPlan) -> list[tuple[str, ...]]:
    return [
        (
            _verdict(judged),
            judged.snapshot.id[:SHORT_ID],
            iso_second(judged.uploaded_at),
            iso_second(judged.snapshot.time),
            judged.snapshot.host,
            " ".join(judged.snapshot.paths),
        )
        for group in plan.groups
        for judged in group.snapshots
    ]


def _verdict(judged: JudgedSnapshot) -> str:
    if judged.rules:
        return f"keep: {', '.join(judged.rules)}"
    return "remove (late upload)" if judged.is_late else "remove"
