"""``rwm storage freeze`` and ``thaw``: stop a machine within seconds, and let it write again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rwm import console
from rwm.cli.capture import try_capture
from rwm.cli.shared_options import LOCATION_ARGUMENT
from rwm.cli.state import describe_state
from rwm.console import App, common_options, pass_app
from rwm.errors import CheckFailed, PartlyDone, RwmError, UsageError
from rwm.location import Location
from rwm.model import StateInfo
from rwm.phrases import name_some
from rwm.shell import quote
from rwm.times import iso

if TYPE_CHECKING:
    from rwm.s3 import S3
    from rwm.storage import Attempt, FreezeResult

USER_CONFIG_OPTION = click.option(
    "--user-config",
    type=click.Path(),
    metavar="FILE",
    help="Configuration with the machine's keys, to prove the result with them.",
)


def connect_user(app: App, path: str, location: Location) -> tuple[S3, Location]:
    """A client with the keys of a machine's configuration, and where in the location that machine may write.

    The ``RWM_…`` variables of this run are of another account and do not count. A machine's prefix is that of its
    ``restic_bucket``: below another one it is refused anyway, which would prove nothing. Sends no request. Raises
    ConfigError, and UsageError for the keys of this run.
    """
    from rwm.config import load_config
    from rwm.s3 import connect

    config = load_config(path, environment={})
    if config.s3_settings().credentials == app.config.s3_settings().credentials:
        raise UsageError("the configuration of the machine has the admin's keys", hint="name that of the machine")
    own = config.location if config.restic_bucket else location
    return connect(config.s3_settings()), own if location.covers(own) else location


@click.command(short_help="Stop machines: they can write and delete nothing.")
@common_options
@LOCATION_ARGUMENT
@click.option("--user", metavar="USER", help="Freeze only this account (default: all that reach the location).")
@click.option(
    "--reads", type=click.Choice(["on", "off"]), default="on", help="off: it may not read either (default: on)."
)
@click.option("--note", metavar="TEXT", default="", help="Why; it is kept with the freeze.")
@USER_CONFIG_OPTION
@pass_app
def freeze(app: App, location: Location, user: str | None, reads: str, note: str, user_config: str | None) -> None:
    """Stop machines: within seconds they can write and delete nothing in BUCKET.

    With PREFIX, the machines that reach it. They may still read unless --reads off. Lifecycle rules are disabled, the
    state is captured, and the policy is read back; with --user-config every way to write is tried with the machine's
    keys. Safe to repeat. `rwm storage thaw` undoes it.
    """
    from rwm.storage import freeze_storage, passed, prove_freeze

    machine = None if user_config is None else connect_user(app, user_config, location)
    result = freeze_storage(app.s3, app.index.freezes, location, user=user, reads=reads == "on", note=note)
    proof, unproved = None, None
    if machine is not None:
        try:
            proof = prove_freeze(app.s3, *machine, reads=reads == "on")
        except RwmError as error:  # must not hide that the freeze holds
            unproved = error
    state, failure = try_capture(app, location)
    if app.json:
        console.print_json(_freeze_json(result, proof, state))
    else:
        _print_frozen(result)
        if proof is not None:
            print_attempts(proof)
        if state is not None:
            click.echo(console.escape(f"captured {describe_state(state)}"))
    _print_warnings(result)
    thaw = f"`rwm storage thaw {quote(location)}` undoes the freeze"
    console.print_note(f"`rwm audit {quote(location)}` shows what happened, {thaw}")
    if proof is not None and passed(proof):
        operations = name_some([one.operation for one in passed(proof)])
        raise CheckFailed(f"{location}: the machine can still do {operations}")
    if result.unnamed and proof is None:
        how = "--user-config FILE proves the freeze" if unproved is None else f"no proof: {unproved.message}"
        raise CheckFailed(
            f"the policy of bucket {location.bucket} did not name {', '.join(result.unnamed)}: is that the account?",
            hint=f"a server accepts a wrong name in silence; {how}",
        )
    if unproved is not None:
        raise PartlyDone(f"{location} is frozen, but that is not proved: {unproved.message}", hint=unproved.hint)
    if failure is not None:
        raise PartlyDone(f"{location} is frozen, but its state is not captured: {failure.message}", hint=failure.hint)


@click.command(short_help="Undo a freeze: the former policy and rules come back.")
@common_options
@LOCATION_ARGUMENT
@click.option("--user", metavar="USER", help="Thaw only this account.")
@click.option("--force", is_flag=True, help="Replace a policy that was changed since the freeze.")
@pass_app
def thaw(app: App, location: Location, user: str | None, force: bool) -> None:
    """Undo `rwm storage freeze`: the former policy and lifecycle rules come back.

    Refused if somebody has changed the policy since. Safe to repeat.
    """
    from rwm.storage import thaw_storage

    result = thaw_storage(app.s3, app.index.freezes, location, user=user, force=force)
    if app.json:
        console.print_json(_thaw_json(result))
    elif result.users:
        _print_frozen(result)
    else:
        what = "its former policy is back" if result.is_former else "the denies of the freeze are gone"
        click.echo(console.escape(f"bucket {result.bucket} is thawed: {what}"))
    _print_warnings(result)


def _print_frozen(result: FreezeResult) -> None:
    for frozen in result.users:
        can = "can still read, but write and delete nothing" if frozen.reads else "can do nothing"
        note = f" ({frozen.note})" if frozen.note else ""
        click.echo(console.escape(f"{frozen.user} {can} in bucket {result.bucket}, since {iso(frozen.since)}{note}"))


def print_attempts(attempts: Sequence[Attempt]) -> None:
    """Print what was tried, the outcome and the reason."""
    rows = [(each.operation, each.outcome, each.detail) for each in attempts]
    console.print_table(["tried with the machine's keys", "outcome", "reason"], rows)


def _print_warnings(result: FreezeResult) -> None:
    for warning in result.warnings:
        console.warn(warning)


def _freeze_json(result: FreezeResult, proof: Sequence[Attempt] | None, state: StateInfo | None) -> dict[str, Any]:
    return {
        **_thaw_json(result),
        "unnamed": result.unnamed,
        "proof": None if proof is None else [each._asdict() for each in proof],
        "state": None if state is None else state.id,
    }


def _thaw_json(result: FreezeResult) -> dict[str, Any]:
    frozen = [each._asdict() | {"since": iso(each.since)} for each in result.users]
    return {"bucket": result.bucket, "frozen": frozen, "warnings": result.warnings}
