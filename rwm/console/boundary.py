"""The one place where errors become a line on stderr and an exit code. Both programs end here."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from rwm.console.output import escape
from rwm.errors import RwmError

INTERRUPTED = 130  # what a shell reports for SIGINT


def run_program(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``command`` and exit. A traceback is shown only with ``-v``."""
    open_standard_streams()
    sys.exit(_run(command, program, list(sys.argv[1:] if arguments is None else arguments)))


def open_standard_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr an empty one in its place.

    The next file opened would get the number, and what children print would go into it; and Python's own streams
    would be None, which ``print`` takes for stdout.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for as long as the process lives


def _run(command: click.Command, program: str, arguments: list[str]) -> int:
    try:
        result = command.main(arguments, prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except RwmError as error:
        _trace(arguments)
        report(program, error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        return 1
    except Exception as error:  # noqa: BLE001 - the boundary
        _trace(arguments)
        text = escape(f"{type(error).__name__}: {error}")
        print(f"{program}: internal error, please report it: {text} (-v shows where)", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def report(program: str, error: RwmError) -> None:
    """The error on one line, and what to do about it on another. Names from a bucket cannot move the cursor."""
    print(f"{program}: {escape(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  {escape(error.hint)}", file=sys.stderr)


def _trace(arguments: list[str]) -> None:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "-v" in own or "--verbose" in own:
        traceback.print_exc()
