"""``rwm restic`` and ``rwm aws``: run the tool itself with server, keys and repository in its environment."""

from __future__ import annotations

import click

from rwm import console
from rwm.console import App, common_options, pass_app

_PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_ARGUMENTS = click.argument("arguments", nargs=-1, type=click.UNPROCESSED)


@click.command(context_settings=_PASS_THROUGH)
@common_options
@_ARGUMENTS
@pass_app
def restic(app: App, arguments: tuple[str, ...]) -> None:
    """Run restic on the repository of the configuration.

    The first word and all after it are passed to restic. To pass options first, use --: rwm restic -- --help
    """
    from rwm.restic import exec_restic, password_length

    if arguments[:1] == ("init",) and (length := password_length(app.config)):
        characters = console.format_count(length, "character")
        console.print_note(f"the password has {characters}: without it nothing can be restored, so keep a second copy")
    exec_restic(app.config, list(arguments))


@click.command(context_settings=_PASS_THROUGH)
@common_options
@_ARGUMENTS
@pass_app
def aws(app: App, arguments: tuple[str, ...]) -> None:
    """Run the aws command on the server of the configuration.

    The first word and all after it are passed to aws. To pass options first, use --: rwm aws -- s3api --help
    """
    from rwm.restic import exec_aws

    exec_aws(app.config, list(arguments))
