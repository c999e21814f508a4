"""The command names of the original tool: hidden aliases that work as they did."""

from __future__ import annotations

import re

import click

from rwm import console
from rwm.cli import backup as backup_command
from rwm.cli import prune as prune_command
from rwm.cli import state as state_commands
from rwm.cli import state_restore, storage_access, storage_check
from rwm.cli import storage as storage_commands
from rwm.cli.shared_options import LOCATION_ARGUMENT, YES_OPTION
from rwm.console import App, common_options, pass_app
from rwm.errors import StateNotFound
from rwm.location import Location
from rwm.shell import quote

_STATE_ID = re.compile(r"[0-9a-f]{64}")


def add_aliases(group: click.Group) -> None:
    """Add every original name as a hidden command, spelled with ``-`` and with ``_``."""
    for command, names in (
        (storage_access.create, "storage_create create_storage"),
        (storage_check.check, "storage_check_policy"),
        (storage_commands.list_, "storage_list"),
        (storage_commands.info, "storage_info"),
        (state_commands.capture, "storage_state"),
        (backup_all, "backup_all"),
        (storage_delete, "storage_delete"),
        (storage_drop_versions, "storage_drop_versions"),
        (storage_restore_state, "storage_restore_state"),
    ):
        for name in names.split():
            for spelling in {name, name.replace("_", "-")}:
                group.add_command(_hidden_copy(command), spelling)


def _hidden_copy(command: click.Command) -> click.Command:
    return click.Command(command.name, callback=command.callback, params=command.params, help=command.help, hidden=True)


@click.command()
@common_options
@pass_app
def backup_all(app: App) -> int:
    """Run all backups of the configuration (now: rwm backup --all)."""
    return backup_command.run_and_print(app, (), all_backups=True)


@click.command()
@common_options
@LOCATION_ARGUMENT
@YES_OPTION
@pass_app
def storage_delete(app: App, location: Location, yes: bool) -> None:
    """Delete BUCKET with everything in it (now: rwm storage delete)."""
    storage_commands.delete_and_print(app, location, dry_run=False, yes=yes)


@click.command()
@common_options
@LOCATION_ARGUMENT
@pass_app
def storage_drop_versions(app: App, location: Location) -> None:
    """Delete all versions except those of the newest state and of the current listing.

    Now: rwm prune --keep-last 1. As in the original tool there is no confirmation, but it is refused if it would lose
    data.
    """
    prune_command.prune_and_print(app, location, {"last": "1"}, yes=True)


@click.command()
@common_options
@click.argument("source", type=console.LOCATION)
@click.argument("target")
@click.argument("state")
@pass_app
def storage_restore_state(app: App, source: Location, target: str, state: str) -> None:
    """Copy STATE (an id, or the key of its file) of bucket SOURCE to bucket TARGET (now: rwm state restore)."""
    info = app.readonly_index.resolve(_state_id(app, source, state), source)
    state_restore.restore_and_print(app, info, Location.parse(target), source.prefix)


def _state_id(app: App, location: Location, state: str) -> str:
    """The id of the state in a state file, given its key; any other name of a state unchanged."""
    if match := _STATE_ID.search(state):
        return match[0]
    if "/" not in state:
        return state
    found = app.readonly_index.ledger.state_in_file(location.bucket, state)
    if found is None:
        raise StateNotFound(
            f"no state is recorded for the file {state} of bucket {location.bucket}",
            hint=f"`rwm state sync {quote(location)}` reads the state files there, those of the original tool too",
        )
    return found
