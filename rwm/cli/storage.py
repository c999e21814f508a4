"""``rwm storage``: create, check, list and delete protected buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.console import App, common_options, pass_app
from rwm.errors import AccessDenied, CheckFailed, NotFound, NotSupported, PartlyDone
from rwm.model import ARCHIVE_CLASSES, StorageClasses

if TYPE_CHECKING:
    from rwm.storage import Drift

BUCKET_ARGUMENT = click.argument("bucket", type=console.BUCKET)
YES_OPTION = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


@click.group()
@common_options
def storage() -> None:
    """Create, check, describe and delete protected buckets. Most commands need the admin's account."""


@storage.command()
@common_options
@BUCKET_ARGUMENT
@click.argument("user")
@pass_app
def create(app: App, bucket: str, user: str) -> None:
    """Create BUCKET, in which USER may write but not remove versions."""
    from rwm.storage import create_storage

    principal = create_storage(app.s3, bucket, user)
    if app.json:
        console.print_json({"bucket": bucket, "user": principal})
    else:
        click.echo(f"bucket {bucket} is ready: versioned, {principal} may write but not remove versions")


@storage.command()
@common_options
@BUCKET_ARGUMENT
@click.option("--no-listing", is_flag=True, help="Do not list the versions to count those in archive classes.")
@pass_app
def check(app: App, bucket: str, no_listing: bool) -> None:
    """List all settings of BUCKET that leave it unprotected. Exit code 4 if there is one.

    Versions in archive classes (GLACIER, DEEP_ARCHIVE) are counted, and do not change the exit code: they are
    protected, but cannot be read before they are retrieved.
    """
    from rwm.storage import check_storage

    drift = check_storage(app.s3, bucket)
    classes = None if no_listing else _count_classes(app, bucket)
    if text := console.describe_archived(classes) if classes else "":
        console.warn(f"bucket {bucket}: {text}: a restore has to wait until they are retrieved from the archive")
    if app.json:
        console.print_json(_check_json(drift, classes))
    elif drift:
        console.print_table(["code", "detail"], drift)
    else:
        click.echo(f"bucket {bucket} is protected")
    if drift:
        raise CheckFailed(f"bucket {bucket}: {console.format_count(len(drift), 'problem')} found")


def _check_json(drift: Sequence[Drift], classes: StorageClasses | None) -> dict[str, Any]:
    archived = classes.archived._asdict() if classes else None
    return {"ok": not drift, "drift": [item._asdict() for item in drift], "archived": archived}


def _count_classes(app: App, bucket: str) -> StorageClasses | None:
    """The storage classes of the bucket's versions; None with a warning where they cannot be listed."""
    from rwm.storage import count_classes

    try:
        with console.show_progress(f"listing {bucket}") as progress:
            return count_classes(app.s3, bucket, progress)
    except (AccessDenied, NotSupported) as error:
        console.warn(f"archived versions are not counted: {error.message}")
        return None


@storage.command("list")
@common_options
@pass_app
def list_(app: App) -> None:
    """List the buckets of this account and whether they are protected."""
    from rwm.storage import check_storage, versioning_state

    rows = [(name, versioning_state(app.s3, name), len(check_storage(app.s3, name))) for name in app.s3.list_buckets()]
    if app.json:
        console.print_json([{"bucket": name, "versioning": versioning, "drift": n} for name, versioning, n in rows])
    else:
        cells = [
            (name, versioning, console.format_count(n, "problem") if n else "protected") for name, versioning, n in rows
        ]
        console.print_table(["bucket", "versioning", "check"], cells)


@storage.command()
@common_options
@BUCKET_ARGUMENT
@pass_app
def info(app: App, bucket: str) -> None:
    """Count objects, noncurrent versions and delete markers in BUCKET.

    Also unfinished uploads, state files, and versions by storage class.
    """
    from rwm.storage import storage_info

    with console.show_progress(f"listing {bucket}") as progress:
        summary = storage_info(app.s3, bucket, progress)
    if app.json:
        console.print_json(summary.as_json())
        return
    console.print_table(
        ["", "count", "size"],
        [
            ("objects", summary.objects, console.format_size(summary.bytes)),
            ("noncurrent versions", summary.noncurrent_versions, console.format_size(summary.noncurrent_bytes)),
            ("delete markers", summary.delete_markers, ""),
            ("unfinished uploads", _or_unsupported(summary.unfinished_uploads), ""),
            ("state files", summary.states, ""),
            *(
                (f"{'archived: ' if name in ARCHIVE_CLASSES else ''}{name}", objects, console.format_size(size))
                for name, (objects, size) in sorted(summary.storage_classes.items())
            ),
        ],
        right=(1, 2),
    )
    click.echo(f"versioning: {console.escape(summary.versioning)}")


def _or_unsupported(count: int | None) -> int | str:
    return "unsupported" if count is None else count


@storage.command()
@common_options
@BUCKET_ARGUMENT
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
@YES_OPTION
@pass_app
def delete(app: App, bucket: str, dry_run: bool, yes: bool) -> None:
    """Delete BUCKET with every version of every object in it."""
    delete_and_print(app, bucket, dry_run=dry_run, yes=yes)


def delete_and_print(app: App, bucket: str, *, dry_run: bool, yes: bool) -> None:
    """Ask, delete the bucket and print the result. Shared with an alias."""
    from rwm.storage import delete_storage, storage_info

    if not app.s3.bucket_exists(bucket):
        raise NotFound(f"bucket {bucket} does not exist", hint="`rwm storage list` shows the buckets of this account")
    with console.show_progress(f"listing {bucket}") as progress:
        summary = storage_info(app.s3, bucket, progress)
    count = summary.objects + summary.noncurrent_versions + summary.delete_markers
    size = console.format_size(summary.bytes + summary.noncurrent_bytes)
    subject = f"bucket {bucket} with {count} versions and markers, {size}"
    if not dry_run:
        console.confirm(f"Delete {subject}?", yes=yes)
        with console.show_progress(f"deleting {bucket}", count) as progress:
            failures = delete_storage(app.s3, bucket, progress)
        if failures:
            codes = ", ".join(sorted({failure.code for failure in failures}))
            if codes == "AccessDenied" and not app.s3.has_object_lock(bucket):
                raise AccessDenied(f"bucket {bucket} is not deleted: this account may not delete its versions")
            raise PartlyDone(
                f"bucket {bucket} is not deleted: the server refused to delete {failures[0].key} "
                f"version {failures[0].version_id} ({codes})",
                hint="locked versions can be deleted after their retention has ended",
            )
    if app.json:
        console.print_json({"bucket": bucket, "deleted": not dry_run, "versions": count})
    else:
        click.echo(f"{'would delete' if dry_run else 'deleted'} {subject}")
