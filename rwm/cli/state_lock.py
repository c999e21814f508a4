"""``rwm state lock``: protect one state by Object Lock."""

from __future__ import annotations

import click

from rwm.cli.last_clean import resolve_state
from rwm.cli.lock import choose_mode, require_object_lock, show_and_lock
from rwm.cli.shared_options import LOCATION_OPTION, MODE_OPTION, YES_OPTION
from rwm.console import STATE, App, common_options, pass_app
from rwm.errors import UsageError
from rwm.location import Location
from rwm.model import LockMode
from rwm.times import DAY, SECOND, parse_time

MAX_END = (1 << 32) * SECOND
"""Ceph RGW 16.2 accepts a later end of a lock, keeps 32 bits of it, and then there is no lock."""


@click.command(short_help="Lock the versions of one state until a time (Object Lock).")
@common_options
@click.argument("state", type=STATE)
@LOCATION_OPTION
@click.option("--until", metavar="TIME", help="Until this UTC time.")
@click.option("--days", type=click.IntRange(1, 36_500), metavar="N", help="For N days from now.")
@MODE_OPTION
@click.option("--dry-run", is_flag=True, help="Print the plan and lock nothing.")
@YES_OPTION
@pass_app
def lock(
    app: App,
    state: str,
    location: Location | None,
    until: str | None,
    days: int | None,
    mode: LockMode | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Lock every version of a STATE, so that nobody can delete it: a proof, or the last clean state of an attack.

    A lock that lasts longer stays as it is. The state stays recorded while its versions exist, whatever `rwm prune`
    keeps.
    """
    from rwm.lock import plan_state_lock

    if (until is None) == (days is None):
        raise UsageError("until when?", hint="with --until TIME or --days N")
    info = resolve_state(app, state, location)
    default = require_object_lock(app, info.location)
    now = app.s3.server_time(info.bucket)
    end = parse_time(until) if until is not None else now + (days or 0) * DAY
    if end <= now:
        raise UsageError("the time is over by the server's clock", hint="a lock ends in the future")
    if end >= MAX_END:
        raise UsageError("a lock that ends after 2106-02-07 may be none", hint="Ceph RGW keeps 32 bits of its end")
    plan = plan_state_lock(app.readonly_index, info, choose_mode(app, mode, default), end, now)
    show_and_lock(app, plan, dry_run=dry_run, yes=yes, is_one_state=True)
