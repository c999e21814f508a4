"""``rwmfs``: mount, umount, version. What a command needs is imported when it runs, so that help is instant."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from rwm import __version__
from rwm.cli import boundary, doubts, output
from rwm.cli.completion import BUCKET, STATE, completion
from rwm.cli.options import App, common, current_app
from rwm.errors import UsageError

# Not readable: click would refuse a mountpoint whose mount has died.
PLACE = click.Path(path_type=Path, readable=False)
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def parse_size(text: str) -> int:
    """Bytes as people write them: ``256M``, ``1.5 GiB``, ``1000000``. Powers of 1024. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"cache size {text!r} is not a size", hint="write it as 256M or 1G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", message="rwmfs %(version)s")
@common
def cli() -> None:
    """Mount recorded states of a bucket as a filesystem."""


@cli.command()
@common
@click.argument("bucket", type=BUCKET)
@click.argument("mountpoint", type=PLACE)
@click.option("--at", metavar="STATE", type=STATE, help="One state: id or its beginning, latest, or a UTC time.")
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground, with the log on stderr.")
@click.option("--allow-other", is_flag=True, help="Let other users read the mount too.")
@click.option("--cache-size", metavar="SIZE", help="Memory for what was read (default: cache_size, 256M).")
@click.option("--log-file", metavar="FILE", type=click.Path(path_type=Path), help="Log there instead.")
@click.pass_context
def mount(
    context: click.Context,
    bucket: str,
    mountpoint: Path,
    at: str | None,
    foreground: bool,
    allow_other: bool,
    cache_size: str | None,
    log_file: Path | None,
) -> None:
    """Show the recorded states of BUCKET, read-only, at MOUNTPOINT.

    With --at it is one state. Returns when the mount can be used. restic works on it as on any local repository:

        restic -r MOUNTPOINT restore latest --target DIR

    Without --at all states are there, as MOUNTPOINT/ids/ID, MOUNTPOINT/times/TIME and MOUNTPOINT/latest.
    """
    from rwmfs import daemon, logs, start
    from rwmfs import mountpoint as places

    if at == "":  # a variable that is not set is no wish to see them all
        raise click.UsageError("which state? Say --at with a state id, latest, or a UTC time", context)
    app = current_app(context)
    app.config.s3_settings()
    if log_file is None and not foreground:
        log_file = logs.default_path(bucket)
    request = start.Request(
        config=app.config,
        bucket=bucket,
        at=at,
        mountpoint=places.prepare(mountpoint),
        cache_size=parse_size(cache_size or app.config.cache_size),
        allow_other=allow_other,
        log_file=log_file.absolute() if log_file else None,
        foreground=foreground,
        verbose=app.verbose,
    )
    serve = partial(start.serve, request)
    if foreground:
        serve(partial(_announce, app))
    else:
        _announce(app, daemon.in_background(serve))


def _announce(app: App, report: dict[str, Any]) -> None:
    """Say what is mounted where."""
    content = _one_state(report) if "id" in report else _all_states(report)
    if app.json:
        output.document(report)
        return
    where = report["mountpoint"]
    click.echo(output.escape(f"{content} at {where}"))
    if report["log_file"]:
        click.echo(output.escape(f"log: {report['log_file']}"))
    click.echo(output.escape(f"end it with: rwmfs umount {where}"))


def _one_state(report: dict[str, Any]) -> str:
    """Warn of what is to be warned of, and say what it is."""
    short = report["id"][: output.SHORT_ID]
    if hidden := report["hidden_keys"]:
        verb = "key has no path and is" if hidden == 1 else "keys have no path and are"
        output.warn(f"{hidden} {verb} not shown; `rwm state show --hidden {short}` lists what is hidden")
    doubts.warn_of(report["id"], report["trust"])
    content = f"{report['objects']} objects, {output.size(report['bytes'])}"
    return f"{report['bucket']} as of {report['captured_at']} ({short}, {content}) is"


def _all_states(report: dict[str, Any]) -> str:
    """The same for all of them."""
    if false := report["trust"].get("contradicted"):
        states = output.count(false, "state")
        output.warn(f"{states} contradicted by the bucket's own history, shown in ids/ only: see `rwm state list`")
    return f"{report['bucket']}: all recorded states ({report['states']}) are"


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


cli.add_command(completion)


def main() -> NoReturn:
    """Entry point of the console script."""
    boundary.run(cli, "rwmfs")
