"""``rwm state restore``: copy a state, or the part of it below a prefix, to a directory or to another location."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.capture import capture_now
from rwm.cli.in_place_options import InPlace, in_place_options
from rwm.cli.last_clean import resolve_state
from rwm.cli.state_restore_in_place import restore_in_place, undo_in_place
from rwm.cli.storage_access import user_texts
from rwm.console import LOCATION, NEW_DIRECTORY, STATE, App, common_options, pass_app
from rwm.errors import CheckFailed, PartlyDone, UsageError
from rwm.location import Location
from rwm.model import StateInfo

if TYPE_CHECKING:
    from rwm.restore import RestoreResult, StatePart


@click.command()
@common_options
@click.argument("state", metavar="[STATE]", type=STATE, required=False)
@click.option("--to-dir", type=NEW_DIRECTORY, metavar="DIR", help="Restore into a new or empty directory.")
@click.option(
    "--to-bucket",
    type=LOCATION,
    metavar="BUCKET[/PREFIX]",
    help="Restore into a new or empty bucket of the same server, or below a prefix with nothing below it.",
)
@click.option(
    "--create-for",
    "users",
    multiple=True,
    metavar="USER[:PREFIX]",
    help="Make the bucket a protected one for USER, as `rwm storage create` does, and capture its first state.",
)
@click.option(
    "-b",
    "--bucket",
    "location",
    type=LOCATION,
    metavar="BUCKET[/PREFIX]",
    help="The bucket, or the prefix in it, of `latest` or of a time. Of a prefix only what is below it is restored.",
)
@in_place_options
@pass_app
def restore(
    app: App,
    state: str | None,
    to_dir: Path | None,
    to_bucket: Location | None,
    users: tuple[str, ...],
    location: Location | None,
    in_place: InPlace,
) -> None:
    """Restore STATE to a directory, to another bucket, or in place.

    A state of a prefix is restored without that prefix, so its repository is at the root of the target. So is the part
    of a state below the PREFIX that -b names.

    After an interruption the same command goes on: what is in the target and proves to be the state's is kept. A target
    with anything else is refused.

    --in-place makes the live bucket what it was: older versions are copied over newer ones, delete markers that were
    set since are removed, and what was added since gets one. No version is removed. --undelete only removes delete
    markers. The plan is printed first; --undo FILE brings the bucket back to before. Stop the machines first: `rwm
    storage freeze`.
    """
    targets = [target for target in (to_dir, to_bucket) if target is not None]
    if in_place.undo is not None or in_place.wanted:
        _restore_in_place(app, state, location, in_place, [*targets, *users])
        return
    in_place.check_unused()
    if len(targets) != 1:
        raise UsageError("exactly one target is needed", hint="use --to-dir DIR, --to-bucket BUCKET or --in-place")
    if users and to_bucket is None:
        raise UsageError("--create-for belongs to --to-bucket")
    info = resolve_state(app, _required(state), location)
    restore_and_print(app, info, targets[0], location.prefix if location else "", users)


def _required(state: str | None) -> str:
    if state is None:
        raise UsageError("Missing argument 'STATE'.")
    return state


def _restore_in_place(
    app: App, state: str | None, location: Location | None, in_place: InPlace, others: Sequence[object]
) -> None:
    if others:
        raise UsageError("--in-place and --undo have no other target")
    if in_place.undo is None:
        info = resolve_state(app, _required(state), location)
        restore_in_place(app, info, location.prefix if location else "", in_place)
    elif state is not None or location is not None or in_place.wanted:
        raise UsageError("--undo takes no STATE, -b and --in-place: all that is in the file")
    else:
        undo_in_place(app, in_place.undo, in_place)


def restore_and_print(
    app: App, info: StateInfo, target: Path | Location, prefix: str = "", users: Sequence[str] = ()
) -> None:
    """Restore what the state has below the prefix to a directory or a location, and print the result.

    With users, the location's bucket becomes a protected one for them first, and a state of the location is captured.
    """
    from rwm.restore import StatePart

    part = StatePart(app.readonly_index, info, prefix)
    if isinstance(target, Location) and users:
        _create_bucket(app, part, target, users)
    result = restore_part(app, part, target)
    captured = None
    if isinstance(target, Location) and users and not result.failures:
        captured = _capture_copy(app, target, result)
    elif isinstance(target, Location):
        _note_protection(target)
    where = f"bucket {target}" if isinstance(target, Location) else str(target)
    if app.json:
        console.print_json(_result_json(part, where, result, captured))
    else:
        objects = console.format_count(result.objects, "object")
        kept = f" ({result.kept} of them kept from an earlier run)" if result.kept else ""
        click.echo(console.escape(f"restored {objects}, {console.format_size(result.bytes)}, to {where}{kept}"))
    raise_failures(part, result)


def _create_bucket(app: App, part: StatePart, target: Location, users: Sequence[str]) -> None:
    """Make the target's bucket a protected one, unless it is one for these users already."""
    from rwm.restore import check_apart
    from rwm.storage import ensure_storage

    check_apart(part.location, target)
    accesses = ensure_storage(app.s3, target.bucket, *user_texts(target, users))
    who = ", ".join(str(access) for access in accesses)
    console.print_note(f"bucket {target.bucket} is protected: {who} may write but not remove versions")


def _capture_copy(app: App, target: Location, result: RestoreResult) -> StateInfo:
    """Capture the first state of what was restored, unless an earlier run has done it and nothing was copied since."""
    if result.kept == result.objects:
        for state in reversed(app.index.recorded(target)):
            info = state.info
            counts = (info.objects, info.bytes) == (result.objects, result.bytes)
            if counts and info.location == target and state.trust == "own":
                return info
    info = capture_now(app, target)
    console.print_note(f"state {info.short} of {target} is captured")
    return info


def restore_part(app: App, part: StatePart, target: Path | Location) -> RestoreResult:
    """Restore to a directory or a location, with progress, and warn of all that is not as expected."""
    from rwm.restore import restore_to_bucket, restore_to_directory
    from rwm.rollback import hold_target

    info = part.info
    console.warn_if_untrusted(info.id, info.bucket, app.readonly_index.trust(info))
    console.warn_if_archived(info.id, app.readonly_index.storage_classes.of_state(info, part.prefix))
    with console.interruptible(), console.show_progress("restoring", part.objects) as progress:
        if isinstance(target, Location):
            with hold_target(app.config.index_path, target):
                result = restore_to_bucket(app.s3, part, target, progress)
        else:
            result = restore_to_directory(app.s3, part, target, progress)
    where = f"bucket {target}" if isinstance(target, Location) else str(target)
    for key, why in result.failures:
        console.warn(f"{key} is not restored: {why}")
    if result.hidden:
        console.warn(
            f"without a path: {console.format_count(result.hidden, 'key')}, in {where}/{result.hidden_directory}, "
            "listed in keys.jsonl"
        )
    return result


def raise_failures(part: StatePart, result: RestoreResult) -> None:
    """Raise PartlyDone if an object was not restored, CheckFailed if somebody else wrote to the target."""
    short = part.info.short
    if result.failures:
        hint = f"`rwm state show {short} --archived` lists what must be retrieved first" if result.archived else ""
        raise PartlyDone(
            f"{len(result.failures)} of {part.objects} objects of state {short} are not restored", hint=hint
        )
    if result.foreign:
        others = console.format_count(len(result.foreign), "other object")
        raise CheckFailed(f"meanwhile somebody wrote {others} to the target, {result.foreign[0]!r}")


def _result_json(part: StatePart, target: str, result: RestoreResult, captured: StateInfo | None) -> dict[str, Any]:
    failures = [{"key": key, "why": why} for key, why in result.failures]
    document = {"id": part.info.id, "bucket": part.location.bucket, "prefix": part.prefix, "target": target}
    return {
        **document,
        "objects": result.objects,
        "bytes": result.bytes,
        "kept": result.kept,
        "failures": failures,
        "foreign": result.foreign,
        "captured": None if captured is None else captured.id,
    }


def _note_protection(target: Location) -> None:
    check = f"`rwm storage check {target.bucket}`"
    if target.prefix:
        console.print_note(f"{check} shows whether bucket {target.bucket} is protected")
    else:
        console.print_note(f"bucket {target} is not protected: {check} shows what is missing")
