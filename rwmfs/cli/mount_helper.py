"""``mount.rwmfs``: the mount helper that mount(8) runs for the type ``rwmfs``, also for fstab and systemd.

It is called as ``mount.rwmfs SOURCE MOUNTPOINT [-sfnv] [-N namespace] [-o options] [-t type]`` and does what ``rwmfs
mount`` does. SOURCE is a location, ``bucket`` or ``bucket/prefix``, or ``location@state``, optionally after ``rwmfs:``:
mount(8) resolves a SOURCE that is the name of an existing file to its path, and no file is named like that by accident.
A location whose last name contains an ``@`` ends in a slash.

mount(8) clears HOME and PATH, and keeps its own working directory. So that a line of fstab means the same for every
caller, paths must be absolute, and the working directory is not searched for a configuration.

The exit codes are those of mount(8): 0 mounted, 1 wrong usage or configuration, 2 internal error, 8 interrupted, 32
mount failure. An error is one line on stderr.
"""

from __future__ import annotations

import getopt
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from rwm import console
from rwm.console import App
from rwm.errors import RwmError, UsageError
from rwmfs.cli import fstab_options, mount_options
from rwmfs.cli import main as commands

PROGRAM = "mount.rwmfs"
USAGE = f"{PROGRAM} SOURCE MOUNTPOINT [-sfnv] [-o options]; SOURCE is [rwmfs:]BUCKET[/PREFIX][@STATE]"
PREFIX = "rwmfs:"

USAGE_ERROR = 1
INTERNAL_ERROR = 2
INTERRUPTED = 8
MOUNT_FAILED = 32


@dataclass(frozen=True, slots=True)
class Call:
    """A call by mount(8). ``arguments`` are those for ``rwmfs mount``; with ``fake`` they are checked only."""

    source: str
    arguments: tuple[str, ...]
    fake: bool = False
    verbose: bool = False


def parse(arguments: Sequence[str]) -> Call:
    """Translate the arguments of a mount helper to those of ``rwmfs mount``. Raises UsageError."""
    try:
        switches, positional = getopt.gnu_getopt(list(arguments), "sfnvN:o:t:")
    except getopt.GetoptError as error:
        raise UsageError(str(error), hint=USAGE) from None
    if len(positional) != 2:
        raise UsageError("a source and a mountpoint are needed", hint=USAGE)
    given = {switch for switch, _ in switches}
    if "-N" in given:
        raise UsageError("-N is not supported", hint="run mount with nsenter instead")
    location, state = parse_source(positional[0])
    options = _options([value for switch, value in switches if switch == "-o"], sloppy="-s" in given)
    own = fstab_options.parse(options)
    if state and "at" in own:
        raise UsageError(f"two states are given: {positional[0]} and at={own['at']}")
    for name in fstab_options.PATH_OPTIONS:
        if name in own and not str(own[name]).startswith("/"):
            raise UsageError(f"mount option {name}={own[name]}: the path must be absolute")
    mount_arguments = [f"-o{option}" for option in options] + ([f"--at={state}"] if state else [])
    mount_arguments += ["--", location, str(Path(positional[1]).absolute())]
    return Call(positional[0], tuple(mount_arguments), fake="-f" in given, verbose="-v" in given)


def parse_source(source: str) -> tuple[str, str]:
    """The location and the state (empty for none) of a SOURCE, both unchecked. Raises UsageError."""
    text = source.removeprefix(PREFIX)
    location, at, state = text.rpartition("@")
    if not at or "/" in state:
        location, at, state = text, "", ""
    if source.startswith("/"):
        raise UsageError(
            f"{source} is a path, not a bucket",
            hint=f"mount(8) resolved the name of a file: write {PREFIX}{Path(source).name}, or {PREFIX}BUCKET/PREFIX",
        )
    if not location or (at and not state):
        raise UsageError(f"source {source!r} has no bucket, or no state after the @", hint=USAGE)
    return location, state


def _options(texts: Sequence[str], *, sloppy: bool) -> list[str]:
    """The single options, without unknown ones if ``sloppy``, and without the ``rw`` that mount(8) adds by default."""
    options = [option for option in fstab_options.split(texts) if option != "rw"]
    return [option for option in options if fstab_options.is_known(option) or not sloppy]


def mount(call: Call, app: App) -> None:
    """Mount as ``rwmfs mount`` does. Raises RwmError or click.ClickException."""
    os.chdir("/")
    os.umask(0o077)
    with commands.mount.make_context(PROGRAM, list(call.arguments), obj=app) as context:
        _mount(call, app, context)


def _mount(call: Call, app: App, context: click.Context) -> None:
    app.verbose = call.verbose
    if call.fake:
        app.config.s3_settings()
        return
    from rwmfs.mount import ignore_counters_signal, run_in_background, serve_mount

    request = mount_options.build_request(context, label=call.source)
    ignore_counters_signal()
    report = run_in_background(partial(serve_mount, request))
    if call.verbose:
        commands.print_report(app, request.at, report)
    else:
        commands.print_warnings(report, request.at)


def run(arguments: Sequence[str]) -> int:
    """Mount, and return the exit code. Only ``-v`` prints a traceback."""
    app = App()
    try:
        mount(parse(arguments), app)
    except RwmError as error:
        code = USAGE_ERROR if error.exit_code == UsageError.exit_code else MOUNT_FAILED
        text = f"{error.message} ({error.hint})" if error.hint else error.message
        return _fail(arguments, code, console.complete_hints(text, app.invocation))
    except click.ClickException as error:
        return _fail(arguments, USAGE_ERROR, error.format_message())
    except KeyboardInterrupt:
        return _fail(arguments, INTERRUPTED, "interrupted")
    except Exception as error:  # noqa: BLE001 - the boundary
        text = f"internal error, please report it: {type(error).__name__}: {error} (-v prints a traceback)"
        return _fail(arguments, INTERNAL_ERROR, text)
    return 0


def _fail(arguments: Sequence[str], code: int, text: str) -> int:
    if "-v" in arguments:
        traceback.print_exc()
    print(f"{PROGRAM}: {console.escape(text)}", file=sys.stderr)
    return code


def main() -> NoReturn:
    """Entry point of the console script."""
    console.open_standard_streams()
    sys.exit(run(sys.argv[1:]))
