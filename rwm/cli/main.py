"""``rwm``: the group of all commands. Commands import what they need when they run, to keep ``--help`` fast."""

from __future__ import annotations

from typing import NoReturn

import click

from rwm import __version__, console
from rwm.cli import aliases
from rwm.cli.audit import audit
from rwm.cli.backup import backup
from rwm.cli.demo import demo
from rwm.cli.forget import forget
from rwm.cli.lock import lock
from rwm.cli.prune import prune
from rwm.cli.recover import recover
from rwm.cli.state import state
from rwm.cli.state_export import export_
from rwm.cli.state_import import import_
from rwm.cli.state_list import list_
from rwm.cli.state_lock import lock as lock_state
from rwm.cli.state_restore import restore
from rwm.cli.state_sync import sync
from rwm.cli.state_verify import verify
from rwm.cli.storage import storage
from rwm.cli.storage_access import create, grant, revoke
from rwm.cli.storage_adopt import adopt
from rwm.cli.storage_check import check
from rwm.cli.storage_freeze import freeze, thaw
from rwm.cli.tools import aws, restic
from rwm.console import App, common_options, completion, current_app


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="rwm %(version)s")
@common_options
def cli() -> None:
    """Keep restic backups in S3 recoverable after the backed-up machine is taken over.

    Exit codes: 0 done, 1 error, 2 wrong usage, 3 partly done, 4 a check found problems, 5 refused for safety, 6 access
    denied, 7 another run holds the lock.
    """


@cli.command()
@common_options
@click.pass_context
def version(context: click.Context) -> None:
    """Show the version."""
    app: App = current_app(context)
    if app.json:
        console.print_json({"version": __version__})
    else:
        click.echo(f"rwm {__version__}")


for _command in (audit, aws, backup, completion, demo, forget, lock, prune, recover, restic, state, storage):
    cli.add_command(_command)
for _command in (export_, import_, list_, lock_state, restore, sync, verify):
    state.add_command(_command)
for _command in (adopt, check, create, freeze, grant, revoke, thaw):
    storage.add_command(_command)
aliases.add_aliases(cli)


def main() -> NoReturn:
    """Entry point of the console script."""
    console.run_program(cli, "rwm")
