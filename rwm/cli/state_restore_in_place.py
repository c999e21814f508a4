"""``rwm state restore --in-place`` and ``--undo``: a live bucket is made what it was, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.capture import capture_now
from rwm.cli.in_place_options import InPlace
from rwm.console import App
from rwm.errors import CheckFailed, PartlyDone, Refused, RwmError
from rwm.location import Location
from rwm.model import Operation, StateInfo
from rwm.shell import quote
from rwm.times import iso

if TYPE_CHECKING:
    from rwm.rollback import Comparison, RollbackPlan, RollbackResult, Watch

MakePlan = Callable[..., "RollbackPlan"]
"""Plans anew, from a new listing; an argument watches the listing."""

MAX_AGE = 60.0
"""Seconds after which a plan that was not confirmed is made again."""


def restore_in_place(app: App, info: StateInfo, prefix: str, options: InPlace) -> None:
    """Plan, print the plan, ask, write the undo file, change the bucket, and compare it with the state."""
    from rwm.rollback import plan_rollback, unwatched

    trust = app.readonly_index.trust(info)
    console.warn_if_untrusted(info.id, info.bucket, trust)
    location = info.part(max(info.prefix, prefix, key=len))
    for state in app.readonly_index.recorded(location):
        if state.info.id == info.id and state.audited_at is not None:
            console.warn_if_suspect(info.id, location, state.verdict, iso(state.audited_at))
    if trust == "contradicted" and not options.force:
        raise Refused(
            f"state {_short(info)} is contradicted by the bucket's own history: it may be forged",
            hint=f"`rwm audit {quote(location)}` names the last clean state; --force uses this one all the same",
        )

    def plan(watch: Watch = unwatched) -> RollbackPlan:
        index = app.readonly_index
        with console.show_progress(f"listing {location}") as progress:
            return plan_rollback(app.s3, index, info, prefix, options.mode, progress, watch)

    with _alone(app, location, options):
        _complete_interrupted(app, location, options)
        _change_in_place(app, plan, options, f"state {_short(info)}", info)


def undo_in_place(app: App, file: Path, options: InPlace) -> None:
    """Undo what the undo file names, in the same steps."""
    from rwm.rollback import open_undo_file, plan_undo, unwatched

    location = _check_undo_file(app, file, options)

    def plan(watch: Watch = unwatched) -> RollbackPlan:
        opened, record = open_undo_file(file)
        with opened, console.show_progress(f"listing {record.operation.location}") as progress:
            return plan_undo(app.s3, app.readonly_index, record, progress, watch)

    with _alone(app, location, options):
        _complete_interrupted(app, location, options)
        _change_in_place(app, plan, options, f"what it was before {file.name}", None)


def _check_undo_file(app: App, file: Path, options: InPlace) -> Location:
    from rwm.rollback import check_undo_file, open_undo_file

    try:
        return check_undo_file(app.s3, file).location
    except Refused as error:
        if not options.force:
            raise
        console.warn(error.message)
    opened, record = open_undo_file(file)
    with opened:
        return record.operation.location


@contextmanager
def _alone(app: App, location: Location, options: InPlace) -> Iterator[None]:
    """Keep other changes of the bucket out, unless nothing is to be changed. Raises LockHeld."""
    from rwm.rollback import hold_bucket

    with nullcontext() if options.dry_run else hold_bucket(app.index.path, location.bucket):
        yield


def _change_in_place(app: App, make_plan: MakePlan, options: InPlace, target: str, info: StateInfo | None) -> None:
    made_at = time.monotonic()
    with make_plan() as plan:
        if app.json and options.dry_run:
            console.print_json(_plan_json(plan))
        elif not app.json:
            _print_plan(plan, target)
        _warn_of_problems(plan)
        is_frozen = _check_frozen(app, plan.location, options)
        if options.dry_run:
            return
        done = None
        if plan.changes:
            console.confirm(f"Change {plan.location} in {plan.changes} places?", yes=options.yes)
            _check_current(plan, made_at, make_plan)
            done = _execute(app, plan, options, beside_writers=not is_frozen)
            done.look(app, make_plan, capture=info is not None)
        if app.json:
            console.print_json(_result_json(plan, done))
        elif done is None:
            click.echo(console.escape(f"{plan.location} needs no change"))
        else:
            _print_result(plan, done, target)
        _raise_failures(plan, done, target)


def _complete_interrupted(app: App, location: Location, options: InPlace) -> None:
    """Complete the records of earlier runs that were killed."""
    from rwm.rollback import complete_interrupted

    if options.dry_run:
        return
    with console.show_progress(f"listing {location}") as progress:
        for operation in complete_interrupted(app.s3, app.index, location, progress):
            console.print_note(f"{operation.kind} of {iso(operation.at)} was interrupted: this goes on")


def _check_current(plan: RollbackPlan, made_at: float, make_plan: MakePlan) -> None:
    """Make an old plan again. Raises Refused if it differs: somebody has written meanwhile."""
    if time.monotonic() - made_at < MAX_AGE:
        return
    with make_plan() as again:
        if any(one != other for one, other in zip_longest(plan.spool, again.spool)):
            raise Refused(
                f"{plan.location} was changed since the plan was printed", hint="nothing was changed; run it again"
            )


@dataclass
class _Done:
    """What was done, what came of it, and the state that was captured then."""

    operation: Operation
    result: RollbackResult
    undo_file: Path
    captured: StateInfo | None = None
    comparison: Comparison | None = None
    fault: RwmError | None = None

    def look(self, app: App, make_plan: MakePlan, *, capture: bool) -> None:
        """Capture and list what is there now; ``fault`` is why that failed, which must not hide what was done.

        Problems that were known before are no surprise.
        """
        from rwm.rollback import compare_afterwards

        try:
            self.captured = capture_now(app, self.operation.location) if capture else None
            recorded = app.index.operations.changes(self.operation.location, self.operation.id)
            self.comparison = compare_afterwards((change for _, change in recorded), make_plan)
        except RwmError as error:
            self.fault = error


def _execute(app: App, plan: RollbackPlan, options: InPlace, *, beside_writers: bool) -> _Done:
    from rwm.operations import begin_operation, new_operation
    from rwm.rollback import execute_plan, undo_path, write_undo_file

    index = app.index  # fails before anything is changed if it cannot be written
    operation = new_operation(app.s3, plan.kind, plan.location, options.note or plan.note)
    path = options.undo_file or undo_path(index.path, operation)
    write_undo_file(path, operation, plan)
    console.print_note(f"`rwm state restore --undo {quote(path)}` brings {plan.location} back to what it is now")
    with (
        console.interruptible(),
        begin_operation(app.s3, index, operation, plan.spool) as log,
        console.show_progress(f"changing {plan.location}", plan.changes) as progress,
    ):
        result = execute_plan(app.s3, plan, log, progress, beside_writers=beside_writers)
    for key, why in result.failures:
        console.warn(f"{key} is not changed: {why}")
    return _Done(operation, result, path)


def _check_frozen(app: App, location: Location, options: InPlace) -> bool:
    """Whether surely no machine can write. Raises Refused where one can, unless ``--force``."""
    from rwm.storage import active_users

    users = active_users(app.s3, location)
    if users is None:
        console.warn(f"whether a machine can write at {location} is not known: stop it before its bucket is changed")
    elif users and not options.force and not options.dry_run:
        raise Refused(
            f"{', '.join(users)} may still write at {location}, and would interfere",
            hint=f"`rwm storage freeze {quote(location)}` stops it until rwm storage thaw; --force goes on",
        )
    elif users:
        console.warn(
            f"{', '.join(users)} may still write at {location}: `rwm storage freeze {quote(location)}` comes first"
        )
    return users == []


def _print_plan(plan: RollbackPlan, target: str) -> None:
    click.echo(console.escape(f"plan to make {plan.location} {target}"))
    why_marked = " on what was added since" if plan.kind == "roll-back" else ""
    rows: list[tuple[str, int, str]] = [
        ("copy older versions over current ones", plan.copies, console.format_size(plan.copied_bytes)),
        ("remove delete markers", plan.unmarked, ""),
        (f"put delete markers{why_marked}", plan.marked, ""),
        ("need no change", plan.kept, ""),
        *([("were added since, and stay", plan.added, "")] if plan.added else []),
        *(((f"cannot be done: {problem.value}"), count, "") for problem, count in plan.problems.most_common()),
    ]
    if plan.locks:
        rows.append(("locks of that time, not brought back", plan.locks, ""))
    rows.append(("requests", plan.requests, ""))
    console.print_table(["keys", "count", "size"], rows, right=(1, 2))


def _warn_of_problems(plan: RollbackPlan) -> None:
    for key, problem in plan.named:
        console.warn(f"{key} cannot be brought back: {problem.value}")
    if (more := plan.problems.total() - len(plan.named)) > 0:
        console.warn(f"{more} more keys cannot be brought back")


def _print_result(plan: RollbackPlan, done: _Done, target: str) -> None:
    result, captured = done.result, done.captured
    click.echo(
        console.escape(
            f"{plan.location}: {result.copies} copied, {console.format_size(result.copied_bytes)}, {result.unmarked} "
            f"delete markers removed, {result.marked} put"
        )
    )
    differs = plan.problems or plan.added or not done.comparison or done.comparison.left
    if captured and not differs:
        click.echo(console.escape(f"state {_short(captured)} is captured and equals {target}, but for locks"))
    elif captured:
        click.echo(console.escape(f"captured state {_short(captured)}"))
    console.print_text(f"to undo it: `rwm state restore --undo {quote(done.undo_file)}`")


def _raise_failures(plan: RollbackPlan, done: _Done | None, target: str) -> None:
    problems = plan.problems.total()
    comparison = done.comparison if done else None
    for key, version_id in comparison.named if comparison else ():
        console.warn(f"{key} was written meanwhile: its noncurrent version {version_id} keeps it")
    if done and done.result.failures:
        raise PartlyDone(
            f"{len(done.result.failures)} of {plan.changes} changes failed", hint="the same command does what is left"
        )
    if done and done.fault:
        what = f"{plan.location} is changed, but what came of it is not known: {done.fault.message}"
        raise PartlyDone(what, hint="the same command looks again, and does what is left")
    if problems:
        raise PartlyDone(f"{console.format_count(problems, 'key')} of {plan.location} cannot be made {target}")
    hint = f"no version is lost; stop the machine: `rwm storage freeze {quote(plan.location)}`; then run this again"
    if comparison and comparison.left:
        count, verb = console.format_count(comparison.left, "key"), "differs" if comparison.left == 1 else "differ"
        raise CheckFailed(f"{count} of {plan.location} {verb} again: somebody writes there", hint=hint)
    if comparison and comparison.hidden:
        count = console.format_count(comparison.hidden, "version")
        verb = "is" if comparison.hidden == 1 else "are"
        raise CheckFailed(f"{count} that somebody wrote meanwhile at {plan.location} {verb} hidden now", hint=hint)


def _plan_json(plan: RollbackPlan) -> dict[str, Any]:
    return {
        "bucket": plan.location.bucket,
        "prefix": plan.location.prefix,
        "kind": plan.kind,
        "copies": plan.copies,
        "bytes": plan.copied_bytes,
        "markers_removed": plan.unmarked,
        "markers_put": plan.marked,
        "unchanged": plan.kept,
        "added": plan.added,
        "locks": plan.locks,
        "requests": plan.requests,
        "problems": {problem.name.lower(): count for problem, count in plan.problems.most_common()},
    }


def _result_json(plan: RollbackPlan, done: _Done | None) -> dict[str, Any]:
    result = done.result if done else None
    captured = done.captured if done else None
    comparison = done.comparison if done else None
    is_unknown = done is not None and comparison is None
    outcome = {
        "copied": result.copies if result else 0,
        "unmarked": result.unmarked if result else 0,
        "marked": result.marked if result else 0,
        "failures": [{"key": key, "why": why} for key, why in result.failures] if result else [],
        "undo_file": None if done is None else str(done.undo_file),
        "captured": None if captured is None else captured.id,
        "left": comparison.left if comparison else 0,
        "hidden": [{"key": key, "version_id": each} for key, each in comparison.named] if comparison else [],
    }
    if is_unknown:
        outcome |= {"left": None, "hidden": None}
    return _plan_json(plan) | outcome


def _short(info: StateInfo) -> str:
    return info.short
