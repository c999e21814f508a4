"""``rwm storage``: protected buckets."""

from __future__ import annotations

from dataclasses import asdict

import click

from rwm import console
from rwm.console import App, common, pass_app
from rwm.errors import AccessDenied, CheckFailed, NotFound, PartlyDone

BUCKET = click.argument("bucket", type=console.BUCKET)
YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.group()
@common
def storage() -> None:
    """Create, check and describe protected buckets (with the admin's account)."""


@storage.command()
@common
@BUCKET
@click.argument("user")
@pass_app
def create(app: App, bucket: str, user: str) -> None:
    """Create a versioned BUCKET that USER may write to, but never remove a version from."""
    from rwm.storage import create_storage

    principal = create_storage(app.s3, bucket, user)
    if app.json:
        console.document({"bucket": bucket, "user": principal})
    else:
        click.echo(f"bucket {bucket} is ready: versioned, {principal} may write and never remove a version")


@storage.command()
@common
@BUCKET
@pass_app
def check(app: App, bucket: str) -> None:
    """List every way in which BUCKET is not a protected one (exit code 4 if any)."""
    from rwm.storage import check_storage

    drift = check_storage(app.s3, bucket)
    if app.json:
        console.document({"ok": not drift, "drift": [item._asdict() for item in drift]})
    elif drift:
        console.table(["code", "detail"], drift)
    else:
        click.echo(f"bucket {bucket} is as it should be")
    if drift:
        raise CheckFailed(f"bucket {bucket}: {_problems(len(drift))} found")


def _problems(count: int) -> str:
    return f"{count} problem{'s' * (count > 1)}"


@storage.command("list")
@common
@pass_app
def list_(app: App) -> None:
    """List the buckets of this account, and whether they are protected."""
    from rwm.storage import check_storage

    rows = [
        (name, app.s3.versioning(name) or "off", len(check_storage(app.s3, name))) for name in app.s3.list_buckets()
    ]
    if app.json:
        console.document([{"bucket": name, "versioning": versioning, "drift": n} for name, versioning, n in rows])
    else:
        shown = [(name, versioning, _problems(n) if n else "protected") for name, versioning, n in rows]
        console.table(["bucket", "versioning", "check"], shown)


@storage.command()
@common
@BUCKET
@pass_app
def info(app: App, bucket: str) -> None:
    """Count what BUCKET holds: objects, noncurrent versions, markers, unfinished uploads, states."""
    from rwm.storage import storage_info

    with console.progress(f"listing {bucket}") as progress:
        found = storage_info(app.s3, bucket, progress)
    if app.json:
        console.document(asdict(found))
        return
    console.table(
        ["", "count", "size"],
        [
            ("objects", found.objects, console.size(found.bytes)),
            ("noncurrent versions", found.noncurrent_versions, console.size(found.noncurrent_bytes)),
            ("delete markers", found.delete_markers, ""),
            ("unfinished uploads", found.unfinished_uploads, ""),
            ("states kept in the bucket", found.states, ""),
        ],
        right=(1, 2),
    )
    click.echo(f"versioning: {console.escape(found.versioning)}")


@storage.command()
@common
@BUCKET
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@YES
@pass_app
def delete(app: App, bucket: str, dry_run: bool, yes: bool) -> None:
    """Delete BUCKET with every version of every object in it."""
    remove_bucket(app, bucket, dry_run=dry_run, yes=yes)


def remove_bucket(app: App, bucket: str, *, dry_run: bool, yes: bool) -> None:
    """What ``storage delete`` and its older spelling do."""
    from rwm.storage import delete_storage, storage_info

    if not app.s3.bucket_exists(bucket):
        raise NotFound(f"bucket {bucket} does not exist", hint="`rwm storage list` shows the buckets of this account")
    with console.progress(f"listing {bucket}") as progress:
        found = storage_info(app.s3, bucket, progress)
    count = found.objects + found.noncurrent_versions + found.delete_markers
    what = f"bucket {bucket} with {count} versions and markers, {console.size(found.bytes + found.noncurrent_bytes)}"
    if not dry_run:
        console.confirm(f"Delete {what}?", yes=yes)
        with console.progress(f"deleting {bucket}", count) as progress:
            failures = delete_storage(app.s3, bucket, progress)
        if failures:
            codes = ", ".join(sorted({failure.code for failure in failures}))
            if codes == "AccessDenied" and not app.s3.has_object_lock(bucket):
                raise AccessDenied(f"bucket {bucket} stays: this account may not delete its versions")
            raise PartlyDone(
                f"bucket {bucket} stays: the server keeps {failures[0].key} version {failures[0].version_id} ({codes})",
                hint="what is locked can be deleted when its retention has ended",
            )
    if app.json:
        console.document({"bucket": bucket, "deleted": not dry_run, "versions": count})
    else:
        click.echo(f"{'would delete' if dry_run else 'deleted'} {what}")
