"""``rwm restic`` and ``rwm aws``: the tools themselves, with the environment set."""

from __future__ import annotations

import click

from rwm.console import App, common, pass_app

_PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_ARGUMENTS = click.argument("arguments", nargs=-1, type=click.UNPROCESSED)


@click.command(context_settings=_PASS_THROUGH)
@common
@_ARGUMENTS
@pass_app
def restic(app: App, arguments: tuple[str, ...]) -> None:
    """Run restic on the repository of the configuration.

    Everything from the first word on goes to restic; after -- options do too: rwm restic -- --help
    """
    from rwm.restic import exec_restic

    exec_restic(app.config, list(arguments))


@click.command(context_settings=_PASS_THROUGH)
@common
@_ARGUMENTS
@pass_app
def aws(app: App, arguments: tuple[str, ...]) -> None:
    """Run the aws command on the server of the configuration.

    Everything from the first word on goes to aws; after -- options do too: rwm aws -- s3api --help
    """
    from rwm.restic import exec_aws

    exec_aws(app.config, list(arguments))
