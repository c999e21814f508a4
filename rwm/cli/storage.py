"""``rwm storage``: create, check, list and delete protected buckets."""

from __future__ import annotations

from dataclasses import asdict

import click

from rwm import console
from rwm.console import App, common_options, pass_app
from rwm.errors import AccessDenied, CheckFailed, NotFound, PartlyDone

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
@pass_app
def check(app: App, bucket: str) -> None:
    """List all settings of BUCKET that leave it unprotected. Exit code 4 if there is one."""
    from rwm.storage import check_storage

    drift = check_storage(app.s3, bucket)
    if app.json:
        console.print_json({"ok": not drift, "drift": [item._asdict() for item in drift]})
    elif drift:
        console.print_table(["code", "detail"], drift)
    else:
        click.echo(f"bucket {bucket} is protected")
    if drift:
        raise CheckFailed(f"bucket {bucket}: {console.format_count(len(drift), 'problem')} found")


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
    """Count objects, noncurrent versions and delete markers in BUCKET. Also unfinished uploads and state files."""
    from rwm.storage import storage_info

    with console.show_progress(f"listing {bucket}") as progress:
        summary = storage_info(app.s3, bucket, progress)
    if app.json:
        console.print_json(asdict(summary))
        return
    console.print_table(
        ["", "count", "size"],
        [
            ("objects", summary.objects, console.format_size(summary.bytes)),
            ("noncurrent versions", summary.noncurrent_versions, console.format_size(summary.noncurrent_bytes)),
            ("delete markers", summary.delete_markers, ""),
            ("unfinished uploads", _or_unsupported(summary.unfinished_uploads), ""),
            ("state files", summary.states, ""),
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
