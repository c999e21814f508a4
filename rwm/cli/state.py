"""``rwm state``: the group, and its commands capture, list, show, diff and forget."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from rwm import console
from rwm.console import BUCKET, STATE, App, common_options, pass_app
from rwm.errors import UsageError
from rwm.location import Location
from rwm.model import ARCHIVE_CLASSES, StateInfo, StorageClasses
from rwm.times import SECOND, iso, looks_like_time, parse_duration, parse_time

BUCKET_OPTION = click.option("-b", "--bucket", type=BUCKET, help="The bucket of `latest` or of a time.")

MAX_NAMED = 10
"""States named in one question."""


@click.group()
@common_options
def state() -> None:
    """Record states, list, compare, export and restore them."""


@state.command()
@common_options
@click.argument("bucket", type=BUCKET)
@click.option("--at", metavar="TIME", help="The state at a past UTC time, from the bucket's history alone.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    metavar="N",
    help="List with N connections (default: chosen by the measured speed of the server).",
)
@pass_app
def capture(app: App, bucket: str, at: str | None, concurrency: int | None) -> None:
    """Record the state of BUCKET, in the index and in the bucket."""
    from rwm.states import capture_state

    past = parse_time(at) if at is not None else None
    with console.show_progress(f"listing {bucket}") as progress:
        info = capture_state(
            app.s3,
            app.index,
            Location(bucket),
            at=past,
            concurrency=concurrency,
            origin="past" if past is not None else "capture",
            progress=progress,
            warn=console.warn,
        )
    if not info.objects:
        console.warn(f"bucket {bucket} was empty at {iso(info.captured_at)}: the state has no objects")
    if app.json:
        console.print_json(console.state_json(info))
    else:
        click.echo(f"{describe_state(info)}: {describe_contents(info)}")


def describe_state(info: StateInfo) -> str:
    """``state 0123456789ab of bucket1 at 2026-11-20T10:00:00Z``."""
    return f"state {info.id[: console.SHORT_ID]} of {info.bucket} at {iso(info.captured_at)}"


def describe_contents(info: StateInfo) -> str:
    """``12 objects, 3.4 MiB``."""
    return f"{console.format_count(info.objects, 'object')}, {console.format_size(info.bytes)}"


@state.command("list")
@common_options
@click.argument("bucket", required=False, type=BUCKET)
@click.option("-b", "--bucket", "bucket_option", type=BUCKET, help="The same as the argument.")
@click.option("--since", metavar="TIME", help="Only states of that UTC time and later; 30d: of the last 30 days.")
@pass_app
def list_(app: App, bucket: str | None, bucket_option: str | None, since: str | None) -> None:
    """List the recorded states of BUCKET or of all, oldest first."""
    if None not in (bucket, bucket_option) and bucket != bucket_option:
        raise UsageError(f"two buckets are named: {bucket} and {bucket_option}")
    bucket = bucket_option if bucket is None else bucket
    start = 0 if since is None else parse_time_or_age(since)
    states = [
        state
        for state in app.readonly_index.recorded(None if bucket is None else Location(bucket))
        if state.info.captured_at >= start
    ]
    if not states:
        _print_why_none(app.config.index_path, bucket, "" if since is None else f" since {iso(start)}")
    if app.json:
        console.print_json([console.recorded_state_json(state) for state in states])
    if app.json or not states:
        return
    rows = [
        (
            state.info.id[: console.SHORT_ID],
            state.info.bucket,
            iso(state.info.captured_at),
            state.info.origin + (f" ({state.info.outcome})" if state.info.outcome else ""),
            state.trust,
            state.info.objects,
            console.format_size(state.info.bytes),
        )
        for state in states
    ]
    console.print_table(["id", "bucket", "captured at", "origin", "trust", "objects", "size"], rows, right=(5, 6))


def _print_why_none(index: Path, bucket: str | None, when: str) -> None:
    from rwm.index import missing_index

    if missing := missing_index(index, None if bucket is None else Location(bucket)):
        console.print_note(missing.message, f"  {missing.hint}")
        return
    where = "of any bucket" if bucket is None else f"of bucket {bucket}"
    console.print_note(
        f"no state {where}{when} is in the index {index}",
        "  `rwm state sync BUCKET` reads the states that the bucket holds; `rwm state capture BUCKET` records one, "
        "with --at TIME one of the past from the bucket's own history",
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


@state.command()
@common_options
@click.argument("state", metavar="STATE", type=STATE)
@BUCKET_OPTION
@click.option("--hidden", is_flag=True, help="Only the keys that a filesystem cannot show.")
@click.option("--archived", is_flag=True, help="Only versions that must be retrieved from the archive first.")
@click.option("--commands", is_flag=True, help="Print for each entry the command that retrieves it (with --archived).")
@pass_app
def show(app: App, state: str, bucket: str | None, hidden: bool, archived: bool, commands: bool) -> None:
    """Show STATE and its entries.

    What is archived is known as of the last listing of the bucket, by `rwm state capture` or `rwm state sync`.
    """
    from rwm.statefile import entry_json

    if (commands and not archived) or (hidden and archived):
        raise UsageError("--commands needs --archived, which does not go together with --hidden")
    info = app.readonly_index.resolve(state, None if bucket is None else Location(bucket))
    classes = app.readonly_index.storage_classes(info)
    if not app.json:
        contents = describe_contents(info)
        console.print_note(f"state {info.id}", f"of {info.bucket} at {iso(info.captured_at)}: {contents}")
        console.print_note(*_describe_classes(info, classes))
    if archived:
        _show_archived(app, info, classes, commands=commands)
        return
    selected = set(app.readonly_index.tree(info).hidden_keys()) if hidden else None
    entries = (entry for entry in app.readonly_index.entries(info) if selected is None or entry.key in selected)
    if app.json:
        document = {**console.state_json(info), **console.classes_json(classes)}
        console.print_json({**document, "entries": [entry_json(entry) for entry in entries]})
        return
    console.print_lines(
        f"{iso(entry.last_modified)} {entry.size:>12} {console.escape(entry.version_id)} {console.escape(entry.key)}"
        for entry in entries
    )


def _show_archived(app: App, info: StateInfo, classes: StorageClasses, *, commands: bool) -> None:
    """Print what must be retrieved before it can be read; with ``commands`` how, one line for each version."""
    from rwm.statefile import entry_json

    if classes.listed_at is None:
        console.warn(
            f"no listing has shown all of state {info.id[: console.SHORT_ID]}, so more may be archived: "
            f"`rwm state sync --again {info.bucket}` lists the bucket"
        )
    found = ((entry, name) for entry, name in app.readonly_index.classified(info) if name in ARCHIVE_CLASSES)
    if app.json:
        entries = [
            {**entry_json(entry), "storage_class": name, "command": console.restore_command(info.bucket, entry)}
            for entry, name in found
        ]
        console.print_json({**console.state_json(info), **console.classes_json(classes), "entries": entries})
    elif commands:
        console.print_lines(console.restore_command(info.bucket, entry) for entry, _ in found)
    else:
        console.print_lines(
            f"{iso(entry.last_modified)} {entry.size:>12} {name} {console.escape(entry.version_id)} "
            f"{console.escape(entry.key)}"
            for entry, name in found
        )


def _describe_classes(info: StateInfo, classes: StorageClasses) -> Iterator[str]:
    """Notes on what is not STANDARD, and on what is to be done about it."""
    if text := console.describe_archived(classes):
        show = f"rwm state show {info.id[: console.SHORT_ID]} --archived"
        yield f"{text}, {console.describe_listing(classes)}"
        yield f"  `{show}` lists them, `{show} --commands | sh` asks the server to retrieve them"
    for name, (objects, size) in classes.counts.items():
        if name not in ARCHIVE_CLASSES:
            yield f"storage class {name}: {console.format_count(objects, 'object')}, {console.format_size(size)}"


@state.command()
@common_options
@click.argument("old", metavar="STATE", type=STATE)
@click.argument("new", metavar="STATE", type=STATE)
@BUCKET_OPTION
@pass_app
def diff(app: App, old: str, new: str, bucket: str | None) -> None:
    """Show the keys that differ between two states. + is added, - removed, M another version."""
    from rwm.states import change_kind, diff_states

    before, after = (
        app.readonly_index.resolve(old, None if bucket is None else Location(bucket)),
        app.readonly_index.resolve(new, None if bucket is None else Location(bucket)),
    )
    if before.bucket == after.bucket:
        changes = [
            (change_kind(difference), difference.key) for difference in app.readonly_index.differences(before, after)
        ]
    else:
        changes = list(diff_states(app.readonly_index.entries(before), app.readonly_index.entries(after)))
    if app.json:
        kinds = {"+": "added", "-": "removed", "M": "changed"}
        console.print_json({word: [key for k, key in changes if k == kind] for kind, word in kinds.items()})
        return
    console.print_lines(f"{kind} {console.escape(key)}" for kind, key in changes)


@state.command()
@common_options
@click.argument("states", metavar="STATE...", nargs=-1, required=True, type=STATE)
@BUCKET_OPTION
@click.option("--dry-run", is_flag=True, help="Only print what would be forgotten.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_app
def forget(app: App, states: Sequence[str], bucket: str | None, dry_run: bool, yes: bool) -> None:
    """Remove STATEs from the index. Their files and versions stay in the bucket.

    `rwm state sync --again` or `rwm state import` adds a forgotten state again.
    """
    selected = list(
        {
            info.id: info
            for info in (
                app.readonly_index.resolve(name, None if bucket is None else Location(bucket)) for name in states
            )
        }.values()
    )
    if not dry_run:
        named = ", ".join(f"{info.id[: console.SHORT_ID]} ({iso(info.captured_at)})" for info in selected[:MAX_NAMED])
        more = f" and {len(selected) - MAX_NAMED} more" if len(selected) > MAX_NAMED else ""
        console.confirm(f"forget {named}{more}?", yes=yes)
        app.index.forget(selected)
    if app.json:
        ids = [info.id for info in selected]
        console.print_json({"forgotten": [] if dry_run else ids, "states": ids})
        return
    for info in selected:
        click.echo(console.escape(f"{'would forget' if dry_run else 'forgot'} {describe_state(info)}"))
