"""``rwm state restore``: copy a state to a directory or to another bucket."""

from __future__ import annotations

from pathlib import Path

import click

from rwm import console
from rwm.cli.state import LOCATION_OPTION
from rwm.console import STATE, App, common_options, pass_app
from rwm.errors import PartlyDone, UsageError
from rwm.location import Location
from rwm.model import StateInfo


@click.command()
@common_options
@click.argument("state", metavar="STATE", type=STATE)
@click.option("--to-dir", type=click.Path(path_type=Path), metavar="DIR", help="Restore into a new or empty directory.")
@click.option("--to-bucket", metavar="BUCKET", help="Restore into a new or empty bucket of the same server.")
@LOCATION_OPTION
@pass_app
def restore(app: App, state: str, to_dir: Path | None, to_bucket: str | None, location: Location | None) -> None:
    """Restore STATE to a directory or to another bucket."""
    if bool(to_dir) == bool(to_bucket):
        raise UsageError("exactly one target is needed", hint="use --to-dir DIR or --to-bucket BUCKET")
    restore_and_print(app, app.readonly_index.resolve(state, location), to_dir, to_bucket or "")


def restore_and_print(app: App, info: StateInfo, to_dir: Path | None, to_bucket: str) -> None:
    """Restore to ``to_dir``, or else to ``to_bucket``, and print the result. Shared with an alias."""
    from rwm.restore import restore_to_bucket, restore_to_directory

    console.warn_if_untrusted(info.id, app.readonly_index.trust(info))
    console.warn_if_archived(info.id, app.readonly_index.storage_classes(info))
    with console.show_progress("restoring", info.objects) as progress:
        if to_dir:
            result = restore_to_directory(app.s3, app.readonly_index, info, to_dir, progress)
        else:
            result = restore_to_bucket(app.s3, app.readonly_index, info, to_bucket, progress)
    target = str(to_dir) if to_dir else f"bucket {to_bucket}"
    if to_bucket:
        console.print_note(
            f"bucket {to_bucket} is not protected: `rwm storage check {to_bucket}` shows what is missing"
        )
    for key, why in result.failures:
        console.warn(f"{key} is not restored: {why}")
    if result.hidden:
        console.warn(
            f"{result.hidden} keys have no path: they are in {target}/{result.hidden_directory}, listed in keys.jsonl"
        )
    failures = [{"key": key, "why": why} for key, why in result.failures]
    if app.json:
        document = {"id": info.id, "target": target, "objects": result.objects, "bytes": result.bytes}
        console.print_json({**document, "failures": failures})
    else:
        objects = console.format_count(result.objects, "object")
        click.echo(console.escape(f"restored {objects}, {console.format_size(result.bytes)}, to {target}"))
    if failures:
        short = info.id[: console.SHORT_ID]
        hint = f"`rwm state show {short} --archived` lists what must be retrieved first" if result.archived else ""
        raise PartlyDone(f"{len(failures)} of {info.objects} objects of state {short} are not restored", hint=hint)
