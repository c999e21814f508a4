"""``rwmfs``: mount, umount, version. What a command needs is imported when it runs, so that help is instant."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from rwm import __version__, console
from rwm.console import BUCKET, App, common, completion, current_app
from rwmfs.cli import mount_options
from rwmfs.cli.cache import cache

# Not readable: click would refuse a mountpoint whose mount has died.
PLACE = click.Path(path_type=Path, readable=False)
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", message="rwmfs %(version)s")
@common
def cli() -> None:
    """Mount recorded states of a bucket as a filesystem."""


@cli.command(context_settings=CONTEXT)  # its own: mount.rwmfs has the command without the group
@common
@click.argument("bucket", type=BUCKET)
@click.argument("mountpoint", type=PLACE)
@mount_options.options
@click.pass_context
def mount(context: click.Context, /, foreground: bool, **_: Any) -> None:
    """Show the recorded states of BUCKET, read-only, at MOUNTPOINT.

    With --at it is one state. Returns when the mount can be used. restic works on it as on any local repository:

        restic -r MOUNTPOINT restore latest --target DIR

    Without --at all states are there, as MOUNTPOINT/ids/ID, MOUNTPOINT/times/TIME and MOUNTPOINT/latest.
    """
    from rwmfs.mount import expect_questions, in_background, serve_mount

    app = current_app(context)
    request = mount_options.request(context)
    expect_questions()
    serve = partial(serve_mount, request)
    if foreground:
        serve(partial(announce, app))
    else:
        announce(app, in_background(serve))


def announce(app: App, report: dict[str, Any]) -> None:
    """Say what is mounted where, after what there is to warn of."""
    warn(report)
    if app.json:
        console.document(report)
        return
    where = report["mountpoint"]
    click.echo(console.escape(f"{_content(report)} at {where}"))
    if report["log_file"]:
        click.echo(console.escape(f"log: {report['log_file']}"))
    click.echo(console.escape(f"end it with: rwmfs umount {where}"))


def warn(report: dict[str, Any]) -> None:
    """Say what the mount does not show, and what is doubtful about it."""
    if "id" not in report:
        if false := report["trust"].get("contradicted"):
            states = console.count(false, "state")
            console.warn(f"{states} contradicted by the bucket's own history, shown in ids/ only: see `rwm state list`")
        return
    if hidden := report["hidden_keys"]:
        verb = "key has no path and is" if hidden == 1 else "keys have no path and are"
        console.warn(f"{hidden} {verb} not shown; `rwm state show --hidden {report['id'][:12]}` lists what is hidden")
    console.warn_of_trust(report["id"], report["trust"])


def _content(report: dict[str, Any]) -> str:
    if "id" not in report:
        return f"{report['bucket']}: all recorded states ({report['states']}) are"
    short = report["id"][: console.SHORT_ID]
    content = f"{report['objects']} objects, {console.size(report['bytes'])}"
    return f"{report['bucket']} as of {report['captured_at']} ({short}, {content}) is"


@cli.command()
@common
@click.argument("mountpoint", type=PLACE)
def umount(mountpoint: Path) -> None:
    """End the mount at MOUNTPOINT."""
    from rwmfs.mount import unmount

    unmount(mountpoint)


@cli.command()
@common
@click.pass_context
def version(context: click.Context) -> None:
    """Show the version."""
    if current_app(context).json:
        console.document({"version": __version__})
    else:
        click.echo(f"rwmfs {__version__}")


cli.add_command(cache)
cli.add_command(completion)


def main() -> NoReturn:
    """Entry point of the console script."""
    console.run_program(cli, "rwmfs")
