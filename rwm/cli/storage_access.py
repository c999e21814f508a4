"""``rwm storage create``, ``grant`` and ``revoke``: who may reach what in a protected bucket."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.shared_options import LOCATION_ARGUMENT
from rwm.console import App, common_options, pass_app
from rwm.location import Location
from rwm.model import LOCK_MODES, LockMode
from rwm.times import DAY

if TYPE_CHECKING:
    from rwm.storage import PolicyChange, UserAccess

_DRY_RUN_OPTION = click.option("--dry-run", is_flag=True, help="Only print how the policy would change.")
_PREFIX_OPTION = click.option("--prefix", metavar="PREFIX", help="The same as BUCKET/PREFIX: a part of the bucket.")

_STRICT_OPTION = click.option(
    "--strict/--no-strict", default=None, help="May a USER delete only restic's locks? (default of a new user: no)"
)
_READS_OPTION = click.option(
    "--allow-version-reads/--deny-version-reads",
    "version_reads",
    default=None,
    help="May a USER read noncurrent versions? (default of a new user: no)",
)


class _LockType(click.ParamType[tuple[LockMode, int]]):
    """``governance:30``: the mode and the days of a default retention."""

    name = "lock"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[LockMode, int]:
        """Mode and days."""
        if isinstance(value, tuple):
            return value
        mode, _, days = str(value).partition(":")
        found = next((each for each in LOCK_MODES if each == mode.lower()), None)
        if found is None or not re.fullmatch("[1-9][0-9]{0,3}", days, re.ASCII):
            # Ceph RGW keeps 32 bits of a lock's end: one that ends after 2106 is none.
            text = f"{value!r} is not a lock: write governance:30 or compliance:30, with at most 9999 days"
            self.fail(text, param, ctx)
        return found, int(days)


def rights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of what users may do; the command gets ``strict`` and ``version_reads``, None if not given."""
    return _STRICT_OPTION(_READS_OPTION(command))


def print_users(users: Iterable[UserAccess]) -> None:
    """Print who may reach what."""
    console.print_table(["user", "reach"], [(access.user, access.reach) for access in users])


@click.command()
@common_options
@LOCATION_ARGUMENT
@click.argument("users", metavar="USER[:PREFIX]...", nargs=-1, required=True)
@rights_options
@click.option("--lock", metavar="MODE:DAYS", type=_LockType(), help="Lock new versions: governance:30, compliance:30.")
@pass_app
def create(
    app: App,
    location: Location,
    users: Sequence[str],
    strict: bool | None,
    version_reads: bool | None,
    lock: tuple[LockMode, int] | None,
) -> None:
    """Create BUCKET, in which USERs may write but not remove versions.

    USER reaches the whole bucket, USER:PREFIX only what is below PREFIX. BUCKET/PREFIX USER is the same as BUCKET
    USER:PREFIX.

    With --strict, USERs may put delete markers only on restic's locks: the server refuses `restic forget` and `prune`
    with their keys, and the admin runs `rwm forget`.

    With --lock, BUCKET has Object Lock: nobody can delete a version before DAYS have passed, in compliance mode not
    even the admin. Exit code 5 if the server cannot do that; then nothing is created.
    """
    from rwm.s3 import DefaultRetention
    from rwm.storage import Rights, create_storage

    accesses = create_storage(
        app.s3,
        location.bucket,
        *user_texts(location, users),
        rights=Rights(strict, version_reads),
        lock=DefaultRetention(lock[0], lock[1] * DAY) if lock else None,
        warn=console.warn,
    )
    if app.json:
        console.print_json(_create_json(location.bucket, accesses))
        return
    locked = f"new versions are locked for {console.format_count(lock[1], 'day')} ({lock[0]}), " if lock else ""
    ready = f"bucket {location.bucket} is ready: versioned, {locked}"
    if len(accesses) == 1:
        click.echo(console.escape(ready + _describe(accesses[0])))
    else:
        click.echo(f"{ready}its users may write but not remove versions")
        print_users(accesses)


def user_texts(location: Location, users: Iterable[str]) -> list[str]:
    """The users as ``USER`` or ``USER:PREFIX``, also where the location gives the prefix. Raises UsageError."""
    named = [_one_prefix(location, user) for user in users]
    return [f"{user}:{prefix}" if prefix else user for user, prefix in named]


def _create_json(bucket: str, accesses: Sequence[UserAccess]) -> dict[str, Any]:
    return {"bucket": bucket, "user": accesses[0].user, "users": [access._asdict() for access in accesses]}


def _describe(access: UserAccess) -> str:
    where = f" below {access.prefix}" if access.prefix else ""
    reads = ", and may read noncurrent ones" if access.version_reads else ""
    denied = "delete anything but restic's locks" if access.strict else "remove versions"
    return f"{access.user} may write{where} but not {denied}{reads}"


@click.command()
@common_options
@LOCATION_ARGUMENT
@click.argument("user", metavar="USER[:PREFIX]")
@_PREFIX_OPTION
@_DRY_RUN_OPTION
@rights_options
@pass_app
def grant(
    app: App,
    location: Location,
    user: str,
    prefix: str | None,
    dry_run: bool,
    strict: bool | None,
    version_reads: bool | None,
) -> None:
    """Let USER write in BUCKET too, or below PREFIX.

    BUCKET is a protected one: USER may not remove versions. USER keeps what it could reach before. Refused if another
    user reaches a part of it.

    --strict and --allow-version-reads, or their opposites, change the rights of USER wherever it reaches in BUCKET.
    """
    from rwm.storage import Rights, grant_access

    name, given = _one_prefix(location, user, prefix)
    target = Location(location.bucket, given or "")
    change = grant_access(app.s3, target, name, rights=Rights(strict, version_reads), dry_run=dry_run)
    _print_change(app, target, change, dry_run=dry_run)


@click.command()
@common_options
@LOCATION_ARGUMENT
@click.argument("user", metavar="USER[:PREFIX]")
@_PREFIX_OPTION
@_DRY_RUN_OPTION
@pass_app
def revoke(app: App, location: Location, user: str, prefix: str | None, dry_run: bool) -> None:
    """Take all access to BUCKET from USER, or one PREFIX.

    What it has written stays. A user without any access left is denied everything by the policy, because on Ceph RGW
    it could still read what it has written.
    """
    from rwm.storage import revoke_access

    name, given = _one_prefix(location, user, prefix)
    change = revoke_access(app.s3, location.bucket, name, given, dry_run=dry_run)
    _print_change(app, Location(location.bucket, given or ""), change, dry_run=dry_run)


def _one_prefix(location: Location, user: str, option: str | None = None) -> tuple[str, str | None]:
    """The user's name, and the prefix of the location, the user or the option. Raises UsageError for two."""
    from rwm.storage import parse_granted_prefix, parse_user, single_prefix

    name, of_user = parse_user(user)
    of_location = parse_granted_prefix(location.prefix) if location.prefix else None
    of_option = None if option is None else parse_granted_prefix(option)
    return name, single_prefix([of_location, of_user, of_option])


def _change_json(location: Location, change: PolicyChange, *, dry_run: bool) -> dict[str, Any]:
    return {
        "bucket": location.bucket,
        "prefix": location.prefix,
        "changed": bool(change) and not dry_run,
        "users": [access._asdict() for access in change.after],
        "removed": change.removed,
        "added": change.added,
    }


def _print_change(app: App, location: Location, change: PolicyChange, *, dry_run: bool) -> None:
    from rwm.storage import describe_change

    if app.json:
        console.print_json(_change_json(location, change, dry_run=dry_run))
    elif not change:
        click.echo(f"bucket {location.bucket}: nothing to change")
    else:
        verb = "would change" if dry_run else "changed"
        lines = [f"{verb} the policy of bucket {location.bucket}:", *describe_change(change.before, change.after)]
        if dry_run:
            lines += [f"- {json.dumps(each, ensure_ascii=False)}" for each in change.removed]
            lines += [f"+ {json.dumps(each, ensure_ascii=False)}" for each in change.added]
        console.print_lines(map(console.escape, lines))
