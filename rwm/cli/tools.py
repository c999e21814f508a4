"""``rwm restic`` and ``rwm aws``: run the tool itself with server, keys and repository in its environment."""

from __future__ import annotations

from contextlib import suppress

import click

from rwm import console
from rwm.console import App, common_options, pass_app
from rwm.errors import S3Error
from rwm.layout import REPOSITORY_DIRECTORIES
from rwm.repositories import inside_repository

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

    if arguments[:1] == ("init",):
        _check_place(app)
        if length := password_length(app.config):
            characters = console.format_count(length, "character")
            console.print_note(
                f"the password has {characters}: without it nothing can be restored, so keep a second copy"
            )
    exec_restic(app.config, list(arguments))


def _check_place(app: App) -> None:
    """Refuse to create a repository among the files of another one, as far as the account may look."""
    location = app.config.location
    if not set(location.prefix.split("/")).intersection(REPOSITORY_DIRECTORIES):
        return  # most prefixes: the server need not be asked
    from rwm.s3.listing import enclosing_repository

    with suppress(S3Error):  # restic reports it
        if repository := enclosing_repository(app.s3, location):
            raise inside_repository(f"restic_bucket: {location}", repository, "choose a prefix beside it")


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
