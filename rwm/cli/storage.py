"""``rwm storage``: the group, and its commands list, info and delete."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.shared_options import LOCATION_ARGUMENT, YES_OPTION
from rwm.console import App, common_options, pass_app
from rwm.errors import AccessDenied, IndexUnusable, NotFound, PartlyDone, Refused, StateNotFound
from rwm.location import Location
from rwm.model import ARCHIVE_CLASSES, StateInfo
from rwm.shell import quote
from rwm.times import SECOND, iso

if TYPE_CHECKING:
    from rwm.storage import BucketLock, StorageInfo, StorageRow


@click.group()
@common_options
def storage() -> None:
    """Create, check, describe and delete protected buckets. Most commands need the admin's account."""


@storage.command("list")
@common_options
@pass_app
def list_(app: App) -> None:
    """List the account's buckets, their protection and users.

    A bucket that cannot be checked is listed with its error, and the exit code is 3.
    """
    from rwm.storage import list_storage

    buckets = app.s3.list_buckets()
    with console.show_progress("checking buckets", len(buckets)) as progress:
        rows = list_storage(app.s3, buckets, progress)
    if app.json:
        console.print_json([_row_json(row) for row in rows])
    else:
        console.print_table(["bucket", "versioning", "check", "users", "Object Lock"], map(_row_cells, rows))
    if failed := [row for row in rows if row.error]:
        raise PartlyDone(
            f"{console.format_count(len(failed), 'bucket')} of {len(rows)} could not be checked; "
            f"{failed[0].bucket}: {failed[0].error}"
        )


def _row_json(row: StorageRow) -> dict[str, Any]:
    found = row.inspection
    return {
        "bucket": row.bucket,
        "versioning": row.versioning if found else None,
        "drift": len(found.drift) if found else None,
        "users": [access._asdict() for access in found.users] if found else [],
        "lock": row.lock.as_json() if row.lock else None,
        "error": row.error or None,
    }


def _row_cells(row: StorageRow) -> tuple[str, str, str, str, str]:
    if row.inspection is None:
        return row.bucket, "", f"error: {row.error}", "", ""
    drift, users = row.inspection
    reach = ", ".join(map(str, users))
    checked = console.format_count(len(drift), "problem") if drift else "protected"
    lock = row.lock
    locked = "" if lock is None else lock.status if lock.status == "unsupported" else str(lock)
    return row.bucket, row.versioning, checked, reach, locked


@storage.command()
@common_options
@LOCATION_ARGUMENT
@pass_app
def info(app: App, location: Location) -> None:
    """Count objects, noncurrent versions and delete markers in BUCKET.

    With PREFIX, those below it. Also unfinished uploads, state files, versions by storage class, and the restic
    repositories with the newest recorded state of each.
    """
    from rwm.s3.listing import check_location, discover
    from rwm.storage import read_lock, storage_info

    check_location(app.s3, location)
    lock = read_lock(app.s3, location.bucket)
    with console.show_progress(f"listing {location}") as progress:
        roots = discover(app.s3, location).repositories
        summary = storage_info(app.s3, location, progress, roots=roots)
    states = {each.prefix: _last_state(app, Location(location.bucket, each.prefix)) for each in summary.repositories}
    if app.json:
        console.print_json(_info_json(summary, states, lock))
        return
    _print_counts(summary, lock)
    if summary.repositories:
        click.echo()
        _print_repositories(summary, states)


def _last_state(app: App, repository: Location) -> StateInfo | None:
    """The newest credible state that covers the repository; None if the index has none."""
    try:
        return app.readonly_index.resolve("latest", repository)
    except StateNotFound:
        return None


def _info_json(summary: StorageInfo, states: Mapping[str, StateInfo | None], lock: BucketLock) -> dict[str, Any]:
    document = summary.as_json()
    for repository in document["repositories"]:
        last = states[repository["prefix"]]
        repository["last_state"] = None if last is None else {"id": last.id, "captured_at": iso(last.captured_at)}
    return document | {"lock": lock.as_json()}


def _print_repositories(summary: StorageInfo, states: Mapping[str, StateInfo | None]) -> None:
    now = int(time.time()) * SECOND
    rows = []
    for prefix, objects, size in summary.repositories:
        last = states[prefix]
        age = "" if last is None else console.format_age(now - last.captured_at)
        name = "none recorded" if last is None else last.short
        rows.append((Location(summary.bucket, prefix), objects, console.format_size(size), name, age))
    console.print_table(["repository", "objects", "size", "last state", "age"], rows, right=(1, 2, 4))


def _print_counts(summary: StorageInfo, lock: BucketLock) -> None:
    console.print_table(
        ["", "count", "size"],
        [
            ("objects", summary.objects, console.format_size(summary.bytes)),
            ("noncurrent versions", summary.noncurrent_versions, console.format_size(summary.noncurrent_bytes)),
            ("delete markers", summary.delete_markers, ""),
            ("unfinished uploads", _or_unlisted(summary.unfinished_uploads), ""),
            ("state files", summary.states, ""),
            *(
                (f"{'archived: ' if name in ARCHIVE_CLASSES else ''}{name}", objects, console.format_size(size))
                for name, (objects, size) in sorted(summary.storage_classes.items())
            ),
        ],
        right=(1, 2),
    )
    click.echo(f"Object Lock: {lock}")
    click.echo(f"versioning: {console.escape(summary.versioning)}")


def _or_unlisted(count: int | None) -> int | str:
    return "not listed" if count is None else count


@storage.command()
@common_options
@LOCATION_ARGUMENT
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
@YES_OPTION
@pass_app
def delete(app: App, location: Location, dry_run: bool, yes: bool) -> None:
    """Delete BUCKET with every version of every object in it.

    With PREFIX, everything below it; the bucket stays. Unfinished uploads, delete markers and RWM's own objects go too.
    Refused, before anything is deleted, while a version is locked (exit code 5).
    """
    delete_and_print(app, location, dry_run=dry_run, yes=yes)


def delete_and_print(app: App, location: Location, *, dry_run: bool, yes: bool) -> None:
    """Ask, delete the bucket or what is below the prefix, and print the result. Shared with an alias."""
    from rwm.storage import storage_info

    if not app.s3.bucket_exists(location.bucket):
        raise NotFound(
            f"bucket {location.bucket} does not exist", hint="`rwm storage list` shows the buckets of this account"
        )
    with console.show_progress(f"listing {location}") as progress:
        summary = storage_info(app.s3, location, progress)
    count = summary.objects + summary.noncurrent_versions + summary.delete_markers
    if location.prefix and not count and not summary.unfinished_uploads:
        raise NotFound(f"there is nothing below {location}")
    size = console.format_size(summary.bytes + summary.noncurrent_bytes)
    _check_unlocked(app, location)
    states = _recorded_states(app, location)
    what = f"everything below {location} (the bucket stays)" if location.prefix else f"bucket {location.bucket}"
    subject = f"{what} with {console.format_count(count, 'version or marker', 'versions and markers')}, {size}"
    if not dry_run:
        console.confirm(f"Delete {subject}?", yes=yes)
        _delete(app, location, count)
    if app.json:
        console.print_json(
            {
                "bucket": location.bucket,
                "prefix": location.prefix,
                "deleted": not dry_run,
                "versions": count,
                "bytes": summary.bytes + summary.noncurrent_bytes,
            }
        )
    else:
        click.echo(console.escape(f"{'would delete' if dry_run else 'deleted'} {subject}"))
    if states and not dry_run:
        console.print_note(
            f"{console.format_count(len(states), 'state')} of it in the index cannot be restored any more: "
            f"`rwm state list {quote(location)}` has their ids for rwm state forget"
        )


def _recorded_states(app: App, location: Location) -> list[StateInfo]:
    """The states in the index of what is deleted; none with a warning if it cannot be read: it is not needed."""
    try:
        return [info for info in app.readonly_index.states() if location.covers(info.location)]
    except IndexUnusable as error:
        console.warn(f"which states of {location} are recorded is not known: {error.message}")
        return []


def _check_unlocked(app: App, location: Location) -> None:
    """Raise Refused while a version is locked, with the time at which the last retention ends."""
    from rwm.storage import find_locked

    with console.show_progress(f"reading locks of {location}") as progress:
        found = find_locked(app.s3, location, progress)
    if not found.locked and not found.held:
        return
    reasons = []
    if found.locked:
        reasons.append(f"{console.format_count(found.locked, 'version')} locked until {iso(found.until)}")
    if found.held:
        reasons.append(f"{console.format_count(found.held, 'version')} under a legal hold")
    raise Refused(
        f"{location.described} cannot be deleted: {', '.join(reasons)}",
        hint="nothing was deleted; RWM bypasses no lock, and a legal hold has no end before somebody removes it",
    )


def _delete(app: App, location: Location, count: int) -> None:
    from rwm.storage import delete_storage

    with console.show_progress(f"deleting {location}", count) as progress:
        failures = delete_storage(app.s3, location, progress, console.warn)
    if not failures:
        return
    codes = ", ".join(sorted({failure.code for failure in failures}))
    if codes == "AccessDenied" and not app.s3.has_object_lock(location.bucket):
        raise AccessDenied(f"{location.described} is not deleted: this account may not delete its versions")
    raise PartlyDone(
        f"{location.described} is not deleted: the server refused to delete {failures[0].key} "
        f"version {failures[0].version_id} ({codes})",
        hint="locked versions can be deleted after their retention has ended",
    )
