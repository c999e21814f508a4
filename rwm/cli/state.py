"""``rwm state``: capture, list, show, diff, restore."""

from __future__ import annotations

import time
from pathlib import Path

import click

from rwm import console
from rwm.console import BUCKET, STATE, App, common, pass_app
from rwm.errors import PartlyDone, UsageError
from rwm.model import StateInfo
from rwm.times import SECOND, iso, looks_like_time, parse_duration, parse_time

BUCKET_OPTION = click.option("-b", "--bucket", type=BUCKET, help="The bucket that `latest` or a time is of.")


@click.group()
@common
def state() -> None:
    """Record which version of every object is current, and look at what was recorded."""


@state.command()
@common
@click.argument("bucket", type=BUCKET)
@click.option("--at", metavar="TIME", help="The state at a past UTC time, from the bucket's history alone.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    metavar="N",
    help="List with N connections (default: as many as the server is faster with).",
)
@pass_app
def capture(app: App, bucket: str, at: str | None, concurrency: int | None) -> None:
    """Record the state of BUCKET, in the index and in the bucket."""
    from rwm.states import capture_state

    moment = parse_time(at) if at is not None else None
    with console.progress(f"listing {bucket}") as progress:
        info = capture_state(
            app.s3,
            app.index,
            bucket,
            at=moment,
            concurrency=concurrency,
            origin="past" if moment is not None else "capture",
            progress=progress,
            warn=console.warn,
        )
    if not info.objects:
        console.warn(f"bucket {bucket} held nothing at {iso(info.captured_at)}: the state is empty")
    if app.json:
        console.document(console.state_json(info))
    else:
        click.echo(f"state {info.id[: console.SHORT_ID]} of {bucket} at {iso(info.captured_at)}: {contents(info)}")


def contents(info: StateInfo) -> str:
    """``12 objects, 3.4 MiB``."""
    return f"{console.count(info.objects, 'object')}, {console.size(info.bytes)}"


@state.command("list")
@common
@click.argument("bucket", required=False, type=BUCKET)
@click.option("-b", "--bucket", "named", type=BUCKET, help="The same as the argument.")
@click.option("--since", metavar="TIME", help="Only states of that UTC time and later; 30d: of the last 30 days.")
@pass_app
def list_(app: App, bucket: str | None, named: str | None, since: str | None) -> None:
    """List the recorded states, of BUCKET or of all buckets, oldest first."""
    if None not in (bucket, named) and bucket != named:
        raise UsageError(f"two buckets are named: {bucket} and {named}")
    bucket = named if bucket is None else bucket
    first = 0 if since is None else time_or_age(since)
    states = [one for one in app.index.recorded(bucket) if one.info.captured_at >= first]
    if not states:
        where = "of any bucket" if bucket is None else f"of bucket {bucket}"
        when = "" if since is None else f" since {iso(first)}"
        console.note(
            f"no state {where}{when} is in the index {app.config.index_path}",
            "  `rwm state sync BUCKET` fetches those that the bucket holds, `rwm state capture BUCKET` records one; "
            "with --at TIME as it was then, from the bucket's own history",
        )
    if app.json:
        console.document([console.recorded_json(one) for one in states])
        return
    rows = [
        (
            one.info.id[: console.SHORT_ID],
            one.info.bucket,
            iso(one.info.captured_at),
            one.info.origin + (f" ({one.info.outcome})" if one.info.outcome else ""),
            one.trust,
            one.info.objects,
            console.size(one.info.bytes),
        )
        for one in states
    ]
    console.table(["id", "bucket", "captured at", "origin", "trust", "objects", "size"], rows, right=(5, 6))


def time_or_age(text: str) -> int:
    """``2026-11-01`` or ``30d`` (ago, by this machine's clock) in milliseconds. Raises UsageError."""
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
@common
@click.argument("state", metavar="STATE", type=STATE)
@BUCKET_OPTION
@click.option("--hidden", is_flag=True, help="Only the keys that no filesystem can show.")
@pass_app
def show(app: App, state: str, bucket: str | None, hidden: bool) -> None:
    """Show STATE and its entries."""
    from rwm.statefile import entry_json

    info = app.index.resolve(state, bucket)
    only = set(app.index.tree(info).hidden_keys()) if hidden else None
    entries = (entry for entry in app.index.entries(info) if only is None or entry.key in only)
    if app.json:
        console.document({**console.state_json(info), "entries": [entry_json(entry) for entry in entries]})
        return
    console.note(f"state {info.id}", f"of {info.bucket} at {iso(info.captured_at)}: {contents(info)}")
    for entry in entries:
        version = console.escape(entry.version_id)
        click.echo(f"{iso(entry.last_modified)} {entry.size:>12} {version} {console.escape(entry.key)}")


@state.command()
@common
@click.argument("old", metavar="STATE", type=STATE)
@click.argument("new", metavar="STATE", type=STATE)
@BUCKET_OPTION
@pass_app
def diff(app: App, old: str, new: str, bucket: str | None) -> None:
    """Show which keys two states do not share: + added, - removed, M another version."""
    from rwm.states import change_kind, diff_states

    before, after = app.index.resolve(old, bucket), app.index.resolve(new, bucket)
    if before.bucket == after.bucket:
        changes = [(change_kind(found), found.key) for found in app.index.differences(before, after)]
    else:
        changes = list(diff_states(app.index.entries(before), app.index.entries(after)))
    if app.json:
        kinds = {"+": "added", "-": "removed", "M": "changed"}
        console.document({word: [key for k, key in changes if k == kind] for kind, word in kinds.items()})
        return
    for kind, key in changes:
        click.echo(f"{kind} {console.escape(key)}")


@state.command()
@common
@click.argument("state", metavar="STATE", type=STATE)
@click.option("--to-dir", type=click.Path(path_type=Path), metavar="DIR", help="Into a new or empty directory.")
@click.option("--to-bucket", metavar="BUCKET", help="Into a new or empty bucket of the same server.")
@BUCKET_OPTION
@pass_app
def restore(app: App, state: str, to_dir: Path | None, to_bucket: str | None, bucket: str | None) -> None:
    """Make STATE real again, as files in a directory or as objects in another bucket."""
    if bool(to_dir) == bool(to_bucket):
        raise UsageError("say where to restore to", hint="with --to-dir DIR or --to-bucket BUCKET")
    restore_state(app, app.index.resolve(state, bucket), to_dir, to_bucket or "")


def restore_state(app: App, info: StateInfo, to_dir: Path | None, to_bucket: str) -> None:
    """What ``state restore`` and its older spelling do."""
    from rwm.restore import restore_to_bucket, restore_to_directory

    console.warn_of_trust(info.id, app.index.trust(info))
    with console.progress("restoring", info.objects) as progress:
        if to_dir:
            result = restore_to_directory(app.s3, app.index, info, to_dir, progress)
        else:
            result = restore_to_bucket(app.s3, app.index, info, to_bucket, progress)
    where = str(to_dir) if to_dir else f"bucket {to_bucket}"
    if to_bucket:
        console.note(
            f"bucket {to_bucket} is not a protected one: `rwm storage check {to_bucket}` shows what is missing"
        )
    for key, why in result.failures:
        console.warn(f"{key} is not restored: {why}")
    if result.hidden:
        console.warn(
            f"{result.hidden} keys have no path: they are in {where}/{result.hidden_directory}, with keys.jsonl"
        )
    failures = [{"key": key, "why": why} for key, why in result.failures]
    if app.json:
        document = {"id": info.id, "target": where, "objects": result.objects, "bytes": result.bytes}
        console.document({**document, "failures": failures})
    else:
        counted = console.count(result.objects, "object")
        click.echo(console.escape(f"restored {counted}, {console.size(result.bytes)}, to {where}"))
    if failures:
        raise PartlyDone(f"{len(failures)} of {info.objects} objects of state {info.id[:12]} are not restored")
