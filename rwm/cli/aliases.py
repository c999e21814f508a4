"""The spellings of the original tool. They work as they did, and are not advertised."""

from __future__ import annotations

import re

import click

from rwm.cli import backup as backup_command
from rwm.cli import prune as prune_command
from rwm.cli import state as state_commands
from rwm.cli import storage as storage_commands
from rwm.console import App, common, pass_app
from rwm.errors import StateNotFound

_STATE_ID = re.compile(r"[0-9a-f]{64}")


def add_to(group: click.Group) -> None:
    """Add every old spelling, hidden, with ``-`` and with ``_``."""
    for command, names in (
        (storage_commands.create, "storage_create create_storage"),
        (storage_commands.check, "storage_check_policy"),
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
                group.add_command(_hidden(command), spelling)


def _hidden(command: click.Command) -> click.Command:
    return click.Command(command.name, callback=command.callback, params=command.params, help=command.help, hidden=True)


@click.command()
@common
@pass_app
def backup_all(app: App) -> int:
    """Run all backups of the configuration (now: rwm backup --all)."""
    return backup_command.run(app, (), everything=True)


@click.command()
@common
@storage_commands.BUCKET
@storage_commands.YES
@pass_app
def storage_delete(app: App, bucket: str, yes: bool) -> None:
    """Delete BUCKET with everything in it (now: rwm storage delete)."""
    storage_commands.remove_bucket(app, bucket, dry_run=False, yes=yes)


@click.command()
@common
@storage_commands.BUCKET
@pass_app
def storage_drop_versions(app: App, bucket: str) -> None:
    """Delete all versions but those of the newest state and the present listing (now: rwm prune --keep-last 1).

    The original asked nothing and checked nothing. This asks nothing, and is refused when that would lose data.
    """
    prune_command.run(app, bucket, 1, (), 0, dry_run=False, force=False, yes=True)


@click.command()
@common
@click.argument("source")
@click.argument("target")
@click.argument("state")
@pass_app
def storage_restore_state(app: App, source: str, target: str, state: str) -> None:
    """Copy STATE (an id, or the key of its file) of bucket SOURCE to bucket TARGET (now: rwm state restore)."""
    state_commands.restore_state(app, app.index.resolve(_id_in(app, source, state), source), None, target)


def _id_in(app: App, bucket: str, state: str) -> str:
    """The id that the key of a state file stands for; any other name of a state as it is."""
    if name := _STATE_ID.search(state):
        return name[0]
    if "/" not in state:
        return state
    found = app.index.ledger.recorded_as(bucket, state)
    if found is None:
        raise StateNotFound(
            f"no state is recorded for the file {state} of bucket {bucket}",
            hint=f"`rwm state sync {bucket}` reads the state files of the bucket, those of the original tool too",
        )
    return found
