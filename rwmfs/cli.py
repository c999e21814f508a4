"""``rwmfs``: mount, umount, version. What a command needs is imported when it runs, so that help is instant."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from rwm import __version__
from rwm.cli import boundary, doubts, output
from rwm.cli.completion import BUCKET, completion
from rwm.cli.options import App, common, current_app
from rwmfs import mountcli
from rwmfs.cachecli import cache

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
@mountcli.options
@click.pass_context
def mount(context: click.Context, /, foreground: bool, **_: Any) -> None:
    """Show the recorded states of BUCKET, read-only, at MOUNTPOINT.

    With --at it is one state. Returns when the mount can be used. restic works on it as on any local repository:

        restic -r MOUNTPOINT restore latest --target DIR

    Without --at all states are there, as MOUNTPOINT/ids/ID, MOUNTPOINT/times/TIME and MOUNTPOINT/latest.
    """
    from rwmfs import daemon, start

    app = current_app(context)
    request = mountcli.request(context)
    start.expect_questions()
    serve = partial(start.serve, request)
    if foreground:
        serve(partial(announce, app))
    else:
        announce(app, daemon.in_background(serve))


def announce(app: App, report: dict[str, Any]) -> None:
    """Say what is mounted where, after what there is to warn of."""
    warn(report)
    if app.json:
        output.document(report)
        return
    where = report["mountpoint"]
    click.echo(output.escape(f"{_content(report)} at {where}"))
    if report["log_file"]:
        click.echo(output.escape(f"log: {report['log_file']}"))
    click.echo(output.escape(f"end it with: rwmfs umount {where}"))


def warn(report: dict[str, Any]) -> None:
    """Say what the mount does not show, and what is doubtful about it."""
    if "id" not in report:
        if false := report["trust"].get("contradicted"):
            states = output.count(false, "state")
            output.warn(f"{states} contradicted by the bucket's own history, shown in ids/ only: see `rwm state list`")
        return
    if hidden := report["hidden_keys"]:
        verb = "key has no path and is" if hidden == 1 else "keys have no path and are"
        output.warn(f"{hidden} {verb} not shown; `rwm state show --hidden {report['id'][:12]}` lists what is hidden")
    doubts.warn_of(report["id"], report["trust"])


def _content(report: dict[str, Any]) -> str:
    if "id" not in report:
        return f"{report['bucket']}: all recorded states ({report['states']}) are"
    short = report["id"][: output.SHORT_ID]
    content = f"{report['objects']} objects, {output.size(report['bytes'])}"
    return f"{report['bucket']} as of {report['captured_at']} ({short}, {content}) is"


@cli.command()
@common
@click.argument("mountpoint", type=PLACE)
def umount(mountpoint: Path) -> None:
    """End the mount at MOUNTPOINT."""
    from rwmfs import mountpoint as places

    places.unmount(mountpoint)


@cli.command()
@common
@click.pass_context
def version(context: click.Context) -> None:
    """Show the version."""
    if current_app(context).json:
        output.document({"version": __version__})
    else:
        click.echo(f"rwmfs {__version__}")


cli.add_command(cache)
cli.add_command(completion)


def main() -> NoReturn:
    """Entry point of the console script."""
    boundary.run(cli, "rwmfs")
