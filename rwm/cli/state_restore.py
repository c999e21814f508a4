"""``rwm state restore``: copy a state, or the part of it below a prefix, to a directory or to another location."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.last_clean import resolve_state
from rwm.console import LOCATION, STATE, App, common_options, pass_app
from rwm.errors import PartlyDone, UsageError
from rwm.location import Location
from rwm.model import StateInfo

if TYPE_CHECKING:
    from rwm.restore import RestoreResult, StatePart


@click.command()
@common_options
@click.argument("state", metavar="STATE", type=STATE)
@click.option("--to-dir", type=click.Path(path_type=Path), metavar="DIR", help="Restore into a new or empty directory.")
@click.option(
    "--to-bucket",
    type=LOCATION,
    metavar="BUCKET[/PREFIX]",
    help="Restore into a new or empty bucket of the same server, or below a prefix with nothing below it.",
)
@click.option(
    "-b",
    "--bucket",
    "location",
    type=LOCATION,
    metavar="BUCKET[/PREFIX]",
    help="The bucket, or the prefix in it, of `latest` or of a time. Of a prefix only what is below it is restored.",
)
@pass_app
def restore(app: App, state: str, to_dir: Path | None, to_bucket: Location | None, location: Location | None) -> None:
    """Restore STATE to a directory or to another bucket.

    A state of a prefix is restored without that prefix, so its repository is at the root of the target. So is the part
    of a state below the PREFIX that -b names.
    """
    targets = [target for target in (to_dir, to_bucket) if target is not None]
    if len(targets) != 1:
        raise UsageError("exactly one target is needed", hint="use --to-dir DIR or --to-bucket BUCKET")
    info = resolve_state(app, state, location)
    restore_and_print(app, info, targets[0], location.prefix if location else "")


def restore_and_print(app: App, info: StateInfo, target: Path | Location, prefix: str = "") -> None:
    """Restore what the state has below the prefix to a directory or a location, and print the result."""
    from rwm.restore import StatePart

    part = StatePart(app.readonly_index, info, prefix)
    result = restore_part(app, part, target)
    if isinstance(target, Location):
        _note_protection(target)
    where = f"bucket {target}" if isinstance(target, Location) else str(target)
    if app.json:
        console.print_json(_result_json(part, where, result))
    else:
        objects = console.format_count(result.objects, "object")
        click.echo(console.escape(f"restored {objects}, {console.format_size(result.bytes)}, to {where}"))
    raise_failures(part, result)


def restore_part(app: App, part: StatePart, target: Path | Location) -> RestoreResult:
    """Restore to a directory or a location, with progress, and warn of all that is not as expected."""
    from rwm.restore import restore_to_bucket, restore_to_directory

    info = part.info
    console.warn_if_untrusted(info.id, app.readonly_index.trust(info))
    console.warn_if_archived(info.id, app.readonly_index.storage_classes.of_state(info, part.prefix))
    with console.show_progress("restoring", part.objects) as progress:
        if isinstance(target, Location):
            result = restore_to_bucket(app.s3, part, target, progress)
        else:
            result = restore_to_directory(app.s3, part, target, progress)
    where = f"bucket {target}" if isinstance(target, Location) else str(target)
    for key, why in result.failures:
        console.warn(f"{key} is not restored: {why}")
    if result.hidden:
        console.warn(
            f"{result.hidden} keys have no path: they are in {where}/{result.hidden_directory}, listed in keys.jsonl"
        )
    return result


def raise_failures(part: StatePart, result: RestoreResult) -> None:
    """Raise PartlyDone if an object was not restored."""
    if result.failures:
        short = part.info.id[: console.SHORT_ID]
        hint = f"`rwm state show {short} --archived` lists what must be retrieved first" if result.archived else ""
        raise PartlyDone(
            f"{len(result.failures)} of {part.objects} objects of state {short} are not restored", hint=hint
        )


def _result_json(part: StatePart, target: str, result: RestoreResult) -> dict[str, Any]:
    failures = [{"key": key, "why": why} for key, why in result.failures]
    document = {"id": part.info.id, "bucket": part.location.bucket, "prefix": part.prefix, "target": target}
    return {**document, "objects": result.objects, "bytes": result.bytes, "failures": failures}


def _note_protection(target: Location) -> None:
    check = f"`rwm storage check {target.bucket}`"
    if target.prefix:
        console.print_note(f"{check} shows whether bucket {target.bucket} is protected")
    else:
        console.print_note(f"bucket {target} is not protected: {check} shows what is missing")
