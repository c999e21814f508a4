"""``rwm``: the group of all commands. What a command needs is imported when it runs, so that help is instant."""

from __future__ import annotations

from typing import NoReturn

import click

from rwm import __version__, console
from rwm.cli import aliases, state_files
from rwm.cli.backup import backup
from rwm.cli.demo import demo
from rwm.cli.prune import prune
from rwm.cli.state import state
from rwm.cli.storage import storage
from rwm.cli.tools import aws, restic
from rwm.console import App, common, completion, current_app


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="rwm %(version)s")
@common
def cli() -> None:
    """Keep restic backups in S3 recoverable after the backed-up machine is taken over."""


@cli.command()
@common
@click.pass_context
def version(context: click.Context) -> None:
    """Show the version."""
    app: App = current_app(context)
    if app.json:
        console.document({"version": __version__})
    else:
        click.echo(f"rwm {__version__}")


for _command in (aws, backup, completion, demo, prune, restic, state, storage):
    cli.add_command(_command)
for _command in state_files.COMMANDS:
    state.add_command(_command)
aliases.add_to(cli)


def main() -> NoReturn:
    """Entry point of the console script."""
    console.run_program(cli, "rwm")
