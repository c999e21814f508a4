"""``rwm storage check``: what leaves a bucket unprotected, with its probe and its repair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.shared_options import LOCATION_ARGUMENT, YES_OPTION
from rwm.cli.storage_access import print_users
from rwm.cli.storage_freeze import USER_CONFIG_OPTION, connect_user, print_attempts
from rwm.console import App, common_options, pass_app
from rwm.errors import AccessDenied, CheckFailed, NotSupported, UsageError
from rwm.location import Location
from rwm.model import StorageClasses

if TYPE_CHECKING:
    from rwm.storage import Attempt, BucketLock, FixStep, Inspection, MissingFeature


@click.command()
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
    from rwm.storage import inspect_storage, missing_features, passed, probe_storage, read_lock

    if probe != (user_config is not None):
        raise UsageError("--probe and --user-config FILE go together")
    if (dry_run or yes) and not fix:
        raise UsageError("--dry-run and --yes belong to --fix")
    machine = None if user_config is None else connect_user(app, user_config, location)
    steps = _fix(app, location.bucket, dry_run=dry_run, yes=yes) if fix else None

    found = inspect_storage(app.s3, location)
    lock = read_lock(app.s3, location.bucket)
    missing = missing_features(app.s3, location, lock)
    attempts = None if machine is None else probe_storage(app.s3, *machine)
    classes = None if no_listing else _count_classes(app, location)
    if text := console.describe_archived(classes) if classes else "":
        console.warn(f"{location.described}: {text}: a restore has to wait until they are retrieved from the archive")
    if app.json:
        console.print_json(_json(found, classes, attempts, steps, lock, missing))
    else:
        _print(location, found, attempts, lock, missing)
    problems = len(found.drift) + len(passed(attempts or []))
    if problems:
        raise CheckFailed(f"{location.described}: {console.format_count(problems, 'problem')} found")


def _print(
    location: Location,
    found: Inspection,
    attempts: Sequence[Attempt] | None,
    lock: BucketLock,
    missing: Sequence[MissingFeature],
) -> None:
    if found.drift:
        console.print_table(["code", "detail"], found.drift)
    else:
        click.echo(console.escape(f"{location.described} is protected"))
    click.echo(f"Object Lock: {lock}")
    for each in missing:
        if each.consequence != str(lock):  # which is said above
            console.warn(each.consequence)
    if found.users:
        click.echo()
        print_users(found.users)
    if attempts is not None:
        click.echo()
        print_attempts(attempts)


def _fix(app: App, bucket: str, *, dry_run: bool, yes: bool) -> list[FixStep]:
    """Print the plan, and apply it unless ``dry_run``."""
    from rwm.storage import apply_fix, plan_fix

    steps = plan_fix(app.s3, bucket)
    if not app.json:
        for step in steps:
            console.print_text(f"{'would fix' if dry_run else 'fix'} {step.detail}")
        if not steps:
            console.print_text(f"bucket {bucket}: nothing to fix")
    if steps and not dry_run:
        console.confirm(f"Change these settings of bucket {bucket}?", yes=yes)
        apply_fix(steps)
    return steps


def _json(
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
