"""``rwm storage``: the group, and its commands check, list, info and delete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.state import LOCATION_ARGUMENT
from rwm.cli.storage_access import print_users
from rwm.cli.storage_freeze import USER_CONFIG_OPTION, connect_user, print_attempts
from rwm.console import App, common_options, pass_app
from rwm.errors import AccessDenied, CheckFailed, NotFound, NotSupported, PartlyDone, Refused, StateNotFound, UsageError
from rwm.location import Location
from rwm.model import ARCHIVE_CLASSES, StateInfo, StorageClasses
from rwm.times import SECOND, iso

if TYPE_CHECKING:
    from rwm.storage import Attempt, BucketLock, FixStep, Inspection, MissingFeature, StorageInfo, StorageRow

YES_OPTION = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


@click.group()
@common_options
def storage() -> None:
    """Create, check, describe and delete protected buckets. Most commands need the admin's account."""


@storage.command()
@common_options
@LOCATION_ARGUMENT
@click.option("--no-listing", is_flag=True, help="Do not list the versions to count those in archive classes.")
@click.option("--probe", is_flag=True, help="Try what a machine must not do, with its keys (--user-config).")
@USER_CONFIG_OPTION
@click.option("--fix", is_flag=True, help="Repair versioning, policy, ACL and lifecycle rules, then check.")
@click.option("--dry-run", is_flag=True, help="Only print what --fix would change.")
@YES_OPTION
@pass_app
def check(
    app: App,
    location: Location,
    no_listing: bool,
    probe: bool,
    user_config: str | None,
    fix: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """List what leaves BUCKET unprotected, and its users. Exit code 4 for a problem.

    Each user is listed with what it may reach. With PREFIX, it is a problem too if no user reaches all of it. Versions
    in archive classes (GLACIER, DEEP_ARCHIVE) are counted, and do not change the exit code: they are protected, but
    cannot be read before they are retrieved.

    --probe tries every forbidden operation with the keys of a machine, in a form that harms nothing if it succeeds, on
    objects of its own below rwm/probe/. What gets through is undone with the keys of this account.

    --fix prints a plan, asks, makes the bucket a protected one for the users of its policy, and checks it again.
    """
    from rwm.storage import inspect_storage, missing_features, passed, read_lock

    if probe != (user_config is not None):
        raise UsageError("--probe and --user-config FILE go together")
    if (dry_run or yes) and not fix:
        raise UsageError("--dry-run and --yes belong to --fix")
    steps = _fix(app, location.bucket, dry_run=dry_run, yes=yes) if fix else None

    found = inspect_storage(app.s3, location)
    lock = read_lock(app.s3, location.bucket)
    missing = missing_features(app.s3, location, lock)
    attempts = None if user_config is None else _probe(app, location, user_config)
    classes = None if no_listing else _count_classes(app, location)
    if text := console.describe_archived(classes) if classes else "":
        console.warn(f"{_subject(location)}: {text}: a restore has to wait until they are retrieved from the archive")
    if app.json:
        console.print_json(_check_json(found, classes, attempts, steps, lock, missing))
    else:
        if found.drift:
            console.print_table(["code", "detail"], found.drift)
        else:
            click.echo(console.escape(f"{_subject(location)} is protected"))
        click.echo(f"Object Lock: {lock}")
        for each in missing:
            console.warn(each.consequence)
        if found.users:
            click.echo()
            print_users(found.users)
        if attempts is not None:
            click.echo()
            print_attempts(attempts)
    problems = len(found.drift) + len(passed(attempts or []))
    if problems:
        raise CheckFailed(f"{_subject(location)}: {console.format_count(problems, 'problem')} found")


def _fix(app: App, bucket: str, *, dry_run: bool, yes: bool) -> list[FixStep]:
    """Print the plan, and apply it unless ``dry_run``."""
    from rwm.storage import apply_fix, plan_fix

    steps = plan_fix(app.s3, bucket)
    if not app.json:
        for step in steps:
            console.print_note(f"{'would fix' if dry_run else 'fix'} {step.detail}")
        if not steps:
            console.print_note(f"bucket {bucket}: nothing to fix")
    if steps and not dry_run:
        console.confirm(f"Change these settings of bucket {bucket}?", yes=yes)
        apply_fix(steps)
    return steps


def _probe(app: App, location: Location, user_config: str) -> list[Attempt]:
    from rwm.storage import probe_storage

    machine, place = connect_user(user_config, location)
    return probe_storage(app.s3, machine, place)


def _subject(location: Location) -> str:
    return str(location) if location.prefix else f"bucket {location.bucket}"


def _check_json(
    found: Inspection,
    classes: StorageClasses | None,
    attempts: Sequence[Attempt] | None,
    steps: Sequence[FixStep] | None,
    lock: BucketLock,
    missing: Sequence[MissingFeature],
) -> dict[str, Any]:
    archived = classes.archived._asdict() if classes else None
    return {
        "ok": not found.drift,
        "drift": [item._asdict() for item in found.drift],
        "archived": archived,
        "users": [access._asdict() for access in found.users],
        "fixed": None if steps is None else [{"setting": step.setting, "detail": step.detail} for step in steps],
        "probe": None if attempts is None else [each._asdict() for each in attempts],
        "lock": lock.as_json(),
        "missing": [each._asdict() for each in missing],
    }


def _count_classes(app: App, location: Location) -> StorageClasses | None:
    """The storage classes of the versions; None with a warning where they cannot be listed."""
    from rwm.storage import count_classes

    try:
        with console.show_progress(f"listing {location}") as progress:
            return count_classes(app.s3, location, progress)
    except (AccessDenied, NotSupported) as error:
        name_it = (
            "" if location.prefix or isinstance(error, NotSupported) else " (keys of a prefix: name BUCKET/PREFIX)"
        )
        console.warn(f"archived versions are not counted: {error.message}{name_it}")
        return None


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
        name = "none recorded" if last is None else last.id[: console.SHORT_ID]
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
    what = f"everything below {location} (the bucket stays)" if location.prefix else f"bucket {location.bucket}"
    subject = f"{what} with {count} versions and markers, {size}"
    if not dry_run:
        console.confirm(f"Delete {subject}?", yes=yes)
        _delete(app, location, count)
    if app.json:
        console.print_json(
            {"bucket": location.bucket, "prefix": location.prefix, "deleted": not dry_run, "versions": count}
        )
    else:
        click.echo(console.escape(f"{'would delete' if dry_run else 'deleted'} {subject}"))


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
        f"{_subject(location)} cannot be deleted: {', '.join(reasons)}",
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
        raise AccessDenied(f"{_subject(location)} is not deleted: this account may not delete its versions")
    raise PartlyDone(
        f"{_subject(location)} is not deleted: the server refused to delete {failures[0].key} "
        f"version {failures[0].version_id} ({codes})",
        hint="locked versions can be deleted after their retention has ended",
    )
