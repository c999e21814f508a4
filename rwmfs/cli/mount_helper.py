"""``mount.rwmfs``: what mount(8) runs for the type ``rwmfs``, on a command line or from fstab and systemd.

It is called as ``mount.rwmfs SOURCE MOUNTPOINT [-sfnv] [-N namespace] [-o options] [-t type]``, and does what ``rwmfs
mount`` does. SOURCE is ``bucket`` or ``bucket@state``, with or without ``rwmfs:`` before it: mount(8) makes a path of a
SOURCE that is the name of a file, and nothing has a name like that by accident.

mount(8) clears HOME and PATH, and calls from whatever directory it was called in. So that a line of fstab means the
same whoever runs it and from where, no path may be relative and no configuration is looked for in that directory.

The exit codes are those of mount(8): 0 mounted, 1 wrong call or configuration, 2 a fault of ours, 8 interrupted, 32 it
could not be mounted. An error is one line on stderr.
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
from rwm.console import current_app
from rwm.errors import RwmError, UsageError
from rwmfs.cli import fstab_options, mount_options
from rwmfs.cli import main as commands

PROGRAM = "mount.rwmfs"
USAGE = f"{PROGRAM} SOURCE MOUNTPOINT [-sfnv] [-o options], SOURCE is bucket or bucket@state"
PREFIX = "rwmfs:"

WRONG_CALL = 1
INTERNAL = 2
INTERRUPTED = 8
FAILED = 32


@dataclass(frozen=True, slots=True)
class Call:
    """What mount(8) asks for. ``words`` say it to ``rwmfs mount``; ``fake``: check it, and mount nothing."""

    source: str
    words: tuple[str, ...]
    fake: bool = False
    verbose: bool = False


def parse(arguments: Sequence[str]) -> Call:
    """The call in the words of ``rwmfs mount``. Raises UsageError."""
    try:
        switches, places = getopt.gnu_getopt(list(arguments), "sfnvN:o:t:")
    except getopt.GetoptError as error:
        raise UsageError(str(error), hint=USAGE) from None
    if len(places) != 2:
        raise UsageError("a source and a mountpoint are needed", hint=USAGE)
    given = {switch for switch, _ in switches}
    if "-N" in given:
        raise UsageError("-N is not supported", hint="enter the namespace first, with nsenter")
    bucket, state = parse_source(places[0])
    options = _options([value for switch, value in switches if switch == "-o"], sloppy="-s" in given)
    ours = fstab_options.parse(options)
    if state and "at" in ours:
        raise UsageError(f"the state is named twice, in {places[0]} and as at={ours['at']}")
    for name in fstab_options.PATHS:
        if name in ours and not str(ours[name]).startswith("/"):
            raise UsageError(f"mount option {name}={ours[name]}: a path must begin with /")
    words = [f"-o{option}" for option in options] + ([f"--at={state}"] if state else [])
    words += ["--", bucket, str(Path(places[1]).absolute())]
    return Call(places[0], tuple(words), fake="-f" in given, verbose="-v" in given)


def parse_source(source: str) -> tuple[str, str]:
    """Bucket and state (empty: none is named) of a SOURCE. Raises UsageError."""
    bucket, at, state = source.removeprefix(PREFIX).partition("@")
    if source.startswith("/"):
        raise UsageError(
            f"{source} is a path, not a bucket",
            hint=f"mount made it of a file's name: write {PREFIX}{Path(source).name}",
        )
    if not bucket or (at and not state):
        raise UsageError(f"source {source!r} names no bucket, or no state behind the @", hint=USAGE)
    return bucket, state


def _options(texts: Sequence[str], *, sloppy: bool) -> list[str]:
    """Without ``rw``, which mount(8) says itself to every helper where fstab does not say ``ro``."""
    options = [option for option in fstab_options.split(texts) if option != "rw"]
    return [option for option in options if fstab_options.is_understood(option) or not sloppy]


def mount(call: Call) -> None:
    """Do it, as ``rwmfs mount`` would. Raises RwmError or click.ClickException."""
    os.chdir("/")
    os.umask(0o077)
    context = commands.mount.make_context(PROGRAM, list(call.words))
    app = current_app(context)
    app.verbose = call.verbose
    if call.fake:
        app.config.s3_settings()
        return
    from rwmfs.mount import expect_questions, in_background, serve_mount

    request = mount_options.request(context, label=call.source)
    expect_questions()
    report = in_background(partial(serve_mount, request))
    if call.verbose:
        commands.announce(app, report)
    else:
        commands.warn(report)


def run(arguments: Sequence[str]) -> int:
    """Mount, and return the exit code. A traceback is shown only with ``-v``."""
    try:
        mount(parse(arguments))
        sys.stdout.flush()
    except RwmError as error:
        code = WRONG_CALL if error.exit_code == UsageError.exit_code else FAILED
        return _failed(arguments, code, f"{error.message} ({error.hint})" if error.hint else error.message)
    except click.ClickException as error:
        return _failed(arguments, WRONG_CALL, error.format_message())
    except KeyboardInterrupt:
        return _failed(arguments, INTERRUPTED, "interrupted")
    except Exception as error:  # noqa: BLE001 - the boundary
        text = f"internal error, please report it: {type(error).__name__}: {error} (-v shows where)"
        return _failed(arguments, INTERNAL, text)
    return 0


def _failed(arguments: Sequence[str], code: int, text: str) -> int:
    if "-v" in arguments:
        traceback.print_exc()
    print(f"{PROGRAM}: {console.escape(text)}", file=sys.stderr)
    return code


def main() -> NoReturn:
    """Entry point of the console script."""
    console.open_standard_streams()
    sys.exit(run(sys.argv[1:]))
