"""``rwmfs``: the group of all commands. Commands import what they need when they run, so that ``--help`` is quick."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from rwm import __version__, console
from rwm.console import LOCATION, App, common_options, completion, current_app
from rwm.location import Location
from rwm.model import LAST_CLEAN, SHORT_ID
from rwm.shell import quote
from rwmfs.cli import mount_options
from rwmfs.cli.cache import cache

# Not readable: click would refuse a mountpoint with a dead mount.
MOUNTPOINT = click.Path(path_type=Path, readable=False)
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", message="rwmfs %(version)s")
@common_options
def cli() -> None:
    """Mount recorded states of a bucket as a filesystem."""


@cli.command(
    context_settings=CONTEXT,  # repeated: mount.rwmfs runs this command without the group
    short_help="Mount a state, or all of them, as a read-only directory.",
)
@common_options
@click.argument("location", metavar="BUCKET[/PREFIX]", type=LOCATION)
@click.argument("mountpoint", type=MOUNTPOINT)
@mount_options.options
@click.pass_context
def mount(context: click.Context, /, foreground: bool, **_: Any) -> None:
    """Mount recorded states of a bucket or a prefix, read-only, at MOUNTPOINT.

    With --at it is one state, of this location or of a larger part of the bucket. Returns when the mount is usable.
    restic works on it as on any local repository, or on a directory in it where a repository is:

        restic -r MOUNTPOINT --no-cache restore latest --target DIR

    Without --at it is all states, as MOUNTPOINT/ids/ID, MOUNTPOINT/times/TIME, MOUNTPOINT/latest and, after
    an audit, MOUNTPOINT/last-clean.
    """
    from rwmfs.mount import ignore_counters_signal, run_in_background, serve_mount

    app = current_app(context)
    request = mount_options.build_request(context)
    ignore_counters_signal()
    serve = partial(serve_mount, request)
    if foreground:
        serve(partial(print_report, app, request.at))
    else:
        print_report(app, request.at, run_in_background(serve))


def print_report(app: App, at: str | None, report: dict[str, Any]) -> None:
    """Print warnings, then what is mounted where. ``at`` is how the state was named."""
    print_warnings(report, at)
    if app.json:
        console.print_json(report)
        return
    where = report["mountpoint"]
    click.echo(console.escape(f"{_content(report)} at {where}"))
    if report["log_file"]:
        click.echo(console.escape(f"log: {report['log_file']}"))
    directory = where if "id" in report else f"{where}/times/TIME"
    repository = quote(directory if report.get("repository", True) else f"{directory}/PREFIX")
    click.echo(console.escape(f"look at it with: restic -r {repository} --no-cache snapshots"))
    click.echo("  (with the restic password that was valid when the state was recorded)")
    click.echo(console.escape(f"unmount it with: rwmfs umount {quote(where)}"))


def print_warnings(report: dict[str, Any], at: str | None) -> None:
    """Warn of keys that the mount does not show, of states that are not trusted, and of what is archived.

    Says which state ``last-clean`` is.
    """
    if at == LAST_CLEAN:
        console.note_last_clean(report["id"], report["captured_at"], report["audited_at"])
    console.warn_if_archived(report.get("id", ""), console.classes_from_json(report))
    if "id" not in report:
        if unreadable := report["unreadable"]:
            console.warn(
                f"the latest state ({unreadable['id'][:SHORT_ID]}) cannot be read, earlier ones can: "
                f"{unreadable['why']}"
            )
        if contradicted := report["trust"].get("contradicted"):
            states = console.format_count(contradicted, "state")
            where = Location(report["bucket"], report["prefix"])
            seen = f"`rwm state list {quote(where)}` shows which"
            console.warn(f"{states} contradicted by the bucket's own history, shown in ids/ only: {seen}")
        return
    if hidden := report["hidden_keys"]:
        verb = "key has no path and is" if hidden == 1 else "keys have no path and are"
        short = report["id"][:SHORT_ID]
        console.warn(f"{hidden} {verb} not shown; `rwm state show --hidden {short}` lists what is hidden")
    location = Location(report["bucket"], report["prefix"])
    console.warn_if_untrusted(report["id"], location.bucket, report["trust"])
    console.warn_if_suspect(report["id"], location, report["verdict"], report["audited_at"])


def _content(report: dict[str, Any]) -> str:
    location = Location(report["bucket"], report["prefix"])
    if "id" not in report:
        return f"{location}: all recorded states ({report['states']}) are"
    short = report["id"][:SHORT_ID]
    content = f"{console.format_count(report['objects'], 'object')}, {console.format_size(report['bytes'])}"
    return f"{location} as of {report['captured_at']} ({short}, {content}) is"


@cli.command()
@common_options
@click.argument("mountpoint", type=MOUNTPOINT)
def umount(mountpoint: Path) -> None:
    """Unmount MOUNTPOINT."""
    from rwmfs.mount import unmount

    unmount(mountpoint)


@cli.command()
@common_options
@click.pass_context
def version(context: click.Context) -> None:
    """Show the version."""
    if current_app(context).json:
        console.print_json({"version": __version__})
    else:
        click.echo(f"rwmfs {__version__}")


cli.add_command(cache)
cli.add_command(completion)


def main() -> NoReturn:
    """Entry point of the console script."""
    console.run_program(cli, "rwmfs")
