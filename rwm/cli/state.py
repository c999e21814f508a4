"""``rwm state``: the group, and its commands capture, show, diff and forget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.last_clean import resolve_state
from rwm.cli.shared_options import LOCATION_ARGUMENT, LOCATION_OPTION, YES_OPTION
from rwm.console import STATE, App, common_options, pass_app
from rwm.errors import UsageError
from rwm.location import Location
from rwm.model import ARCHIVE_CLASSES, Entry, StateInfo, StorageClasses
from rwm.repositories import RepositoryCount
from rwm.shell import quote
from rwm.times import iso, parse_time

if TYPE_CHECKING:
    from rwm.restore import StatePart

MAX_NAMED = 10
"""States named in one question."""


@click.group()
@common_options
def state() -> None:
    """Record states, list, compare, export and restore them.

    STATE is an id or its start, `latest`, `last-clean`, or a UTC time (the last state at or before it). All but an id
    need -b BUCKET.
    """


@state.command()
@common_options
@LOCATION_ARGUMENT
@click.option("--at", metavar="TIME", help="The state at a past UTC time, from the bucket's history alone.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    metavar="N",
    help="List with N connections (default: chosen by the measured speed of the server).",
)
@pass_app
def capture(app: App, location: Location, at: str | None, concurrency: int | None) -> None:
    """Record the state of a bucket, or of a prefix in it.

    It is stored in the index and in the bucket.
    """
    from rwm.states import capture_state

    past = parse_time(at) if at is not None else None
    with console.show_progress(f"listing {location}") as progress:
        info = capture_state(
            app.s3,
            app.index,
            location,
            at=past,
            concurrency=concurrency,
            origin="past" if past is not None else "capture",
            progress=progress,
            warn=console.warn,
        )
    if not info.objects:
        console.warn(f"{location.described} was empty at {iso(info.captured_at)}: the state has no objects")
    if app.json:
        console.print_json(console.state_json(info))
    else:
        click.echo(f"{describe_state(info)}: {describe_contents(info)}")


def describe_state(info: StateInfo) -> str:
    """``state 0123456789ab of bucket1 at 2026-11-20T10:00:00Z``."""
    return f"state {info.short} of {info.location} at {iso(info.captured_at)}"


def describe_contents(info: StateInfo) -> str:
    """``12 objects, 3.4 MiB``."""
    return f"{console.format_count(info.objects, 'object')}, {console.format_size(info.bytes)}"


@state.command()
@common_options
@click.argument("state", metavar="STATE", type=STATE)
@LOCATION_OPTION
@click.option("--hidden", is_flag=True, help="Only the keys that a filesystem cannot show.")
@click.option("--archived", is_flag=True, help="Only versions that must be retrieved from the archive first.")
@click.option("--commands", is_flag=True, help="Print for each entry the command that retrieves it (with --archived).")
@pass_app
def show(app: App, state: str, location: Location | None, hidden: bool, archived: bool, commands: bool) -> None:
    """Show STATE and its entries.

    With -b BUCKET/PREFIX only the entries below the prefix are shown. What is archived is known as of the last listing
    of the bucket, by `rwm state capture` or `rwm state sync`.
    """
    from rwm.restore import StatePart
    from rwm.statefile import entry_json

    if (commands and not archived) or (hidden and archived):
        raise UsageError("--commands needs --archived, which does not go together with --hidden")
    info = resolve_state(app, state, location)
    part = StatePart(app.readonly_index, info, location.prefix if location else "")
    classes = app.readonly_index.storage_classes.of_state(info, part.prefix)
    repositories = part.repositories()
    verified = app.readonly_index.verifications.of_states().get(info.id, {})
    if not app.json:
        contents = describe_contents(info)
        console.print_note(f"state {info.id}", f"of {info.location} at {iso(info.captured_at)}: {contents}")
        console.print_note(*_describe_repositories(info, repositories))
        console.print_note(*_describe_classes(info, classes))
        if text := console.describe_verified(verified):
            console.print_note(f"verified: {text}")
    document = {**console.state_json(info), **console.classes_json(classes), **_repositories_json(repositories)}
    document |= console.verification_json(verified)
    if archived:
        _show_archived(app, part, classes, document, commands=commands)
        return
    selected = set(app.readonly_index.tree(info).hidden_keys()) if hidden else None
    entries = (entry for entry in part.entries() if selected is None or entry.key in selected)
    if app.json:
        console.print_json({**document, "entries": [entry_json(entry) for entry in entries]})
        return
    console.print_lines(
        f"{iso(entry.last_modified)} {entry.size:>12} {console.escape(entry.version_id)} {console.escape(entry.key)}"
        for entry in entries
    )


def _describe_repositories(info: StateInfo, repositories: Sequence[RepositoryCount]) -> Iterator[str]:
    """Notes on the repositories in the state, unless the only one is all of it."""
    if [each.objects for each in repositories] != [info.objects]:
        for prefix, objects, size in repositories:
            location = Location(info.bucket, prefix)
            yield f"repository {location}: {console.format_count(objects, 'object')}, {console.format_size(size)}"


def _repositories_json(repositories: Sequence[RepositoryCount]) -> dict[str, Any]:
    return {"repositories": [each._asdict() for each in repositories]}


def _show_archived(
    app: App, part: StatePart, classes: StorageClasses, document: dict[str, Any], *, commands: bool
) -> None:
    """Print what must be retrieved before it can be read; with ``commands`` how, one line for each version.

    ``document`` is the JSON document without its entries.
    """
    from rwm.statefile import entry_json

    info = part.info
    if classes.listed_at is None:
        console.warn(
            f"no listing has shown all of state {info.short}, so more may be archived: "
            f"`rwm state sync --again {quote(info.location)}` lists the bucket"
        )
    found = (
        (entry, name)
        for entry, name in app.readonly_index.storage_classes.entries(info, part.prefix)
        if name in ARCHIVE_CLASSES
    )
    if app.json:
        entries = [
            {**entry_json(entry), "storage_class": name, "command": console.restore_command(info.bucket, entry)}
            for entry, name in found
        ]
        console.print_json({**document, "entries": entries})
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
        show = f"rwm state show {info.short} --archived"
        yield f"{text}, {console.describe_listing(classes)}"
        yield f"  `{show}` lists them, `{show} --commands | sh` asks the server to retrieve them"
    for name, (objects, size) in classes.counts.items():
        if name not in ARCHIVE_CLASSES:
            yield f"storage class {name}: {console.format_count(objects, 'object')}, {console.format_size(size)}"


@state.command()
@common_options
@click.argument("old", metavar="STATE", type=STATE)
@click.argument("new", metavar="STATE", type=STATE)
@LOCATION_OPTION
@pass_app
def diff(app: App, old: str, new: str, location: Location | None) -> None:
    """Show the keys that differ between two states. + is added, - removed, M another version.

    What both states cover is compared, with -b BUCKET/PREFIX what is below the prefix.
    """
    from rwm.states import change_kind, diff_states

    before, after = (resolve_state(app, name, location) for name in (old, new))
    common = _common_prefix(before, after)
    if before.prefix != after.prefix:
        console.print_note(f"compared: what both states cover, which is below {common}")
    if location and location.prefix.startswith(common):
        common = location.prefix
    if before.bucket == after.bucket:
        changes = [
            (change_kind(difference), difference.key)
            for difference in app.readonly_index.differences(before, after)
            if difference.key.startswith(common)
        ]
    else:
        changes = list(diff_states(*(_entries_below(app, info, common) for info in (before, after))))
    if app.json:
        kinds = {"+": "added", "-": "removed", "M": "changed"}
        console.print_json({word: [key for k, key in changes if k == kind] for kind, word in kinds.items()})
        return
    console.print_lines(f"{kind} {console.escape(key)}" for kind, key in changes)
    if not changes:
        console.print_note("no key differs")


def _entries_below(app: App, info: StateInfo, prefix: str) -> Iterator[Entry]:
    return (entry for entry in app.readonly_index.entries(info) if entry.key.startswith(prefix))


def _common_prefix(before: StateInfo, after: StateInfo) -> str:
    """The prefix below which both states say what there was. Raises UsageError without one."""
    shorter, longer = sorted((before.prefix, after.prefix), key=len)
    if not longer.startswith(shorter):
        raise UsageError(
            f"the states have nothing in common: one is of {before.location}, the other of {after.location}"
        )
    return longer


@state.command()
@common_options
@click.argument("states", metavar="STATE...", nargs=-1, required=True, type=STATE)
@LOCATION_OPTION
@click.option("--dry-run", is_flag=True, help="Only print what would be forgotten.")
@YES_OPTION
@pass_app
def forget(app: App, states: Sequence[str], location: Location | None, dry_run: bool, yes: bool) -> None:
    """Remove STATEs from the index. Their files and versions stay in the bucket.

    `rwm state sync --again` or `rwm state import` adds a forgotten state again.
    """
    resolved = [app.readonly_index.resolve(name, location) for name in states]
    selected = list({info.id: info for info in resolved}.values())
    if not dry_run:
        named = ", ".join(f"{info.short} ({iso(info.captured_at)})" for info in selected[:MAX_NAMED])
        more = f" and {len(selected) - MAX_NAMED} more" if len(selected) > MAX_NAMED else ""
        console.confirm(f"forget {named}{more}?", yes=yes)
        app.index.forget(selected)
    if app.json:
        ids = [info.id for info in selected]
        console.print_json({"forgotten": [] if dry_run else ids, "states": ids})
        return
    for info in selected:
        click.echo(console.escape(f"{'would forget' if dry_run else 'forgot'} {describe_state(info)}"))
