"""The only place where an error becomes a line on stderr and an exit code, for both programs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from rwm.console.app import App
from rwm.console.formatting import escape
from rwm.console.hints import Invocation, complete_hints
from rwm.console.standard_streams import lost_output, open_standard_streams
from rwm.errors import PartlyDone, RwmError

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells report it."""


def run_program(command: click.Command, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``command`` with the arguments (default: those of the process) and exit.

    The exit code is that of the work; it is 3 if only a part of the output was lost.
    """
    open_standard_streams()
    code = run_command(command, program, list(sys.argv[1:] if arguments is None else arguments))
    sys.exit(code or exit_code_of_output(program))


def exit_code_of_output(program: str) -> int:
    """0 if all output was written, else 3; stderr says why, unless a reader of stdout ended early."""
    error = lost_output()
    if error is None:
        return 0
    if not isinstance(error, BrokenPipeError):
        print(f"{program}: done, but a part of the output was lost: {error.strerror}", file=sys.stderr)
    return PartlyDone.exit_code


def run_command(command: click.Command, program: str, arguments: list[str]) -> int:
    """Run ``command``, print its error if it fails, and return the exit code. ``-v`` adds a traceback.

    The exit code of a success is 3 if a listing met keys that the server garbles (:mod:`rwm.s3.listing.unknown_keys`).
    """
    app = App()
    code = _run(command, program, arguments, app)
    if app.warn_of_unknown_keys():
        return code or PartlyDone.exit_code
    return code


def _run(command: click.Command, program: str, arguments: list[str], app: App) -> int:
    try:
        result = command.main(arguments, prog_name=program, standalone_mode=False, obj=app)
        sys.stdout.flush()
    except RwmError as error:
        _print_traceback_if_verbose(arguments)
        print_error(program, error, app.invocation)
        return error.exit_code
    except click.ClickException as error:
        _drop_hidden_suggestions(error)
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # from strict output: its reader ended early
        return 1
    except Exception as error:  # noqa: BLE001 - the boundary
        _print_traceback_if_verbose(arguments)
        text = escape(f"{type(error).__name__}: {error}")
        print(f"{program}: internal error, please report it: {text} (-v prints a traceback)", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def print_error(program: str, error: RwmError, invocation: Invocation = Invocation()) -> None:  # noqa: B008
    """Print the message on one line and the hint on the next, with control characters escaped."""
    print(f"{program}: {escape(complete_hints(error.message, invocation))}", file=sys.stderr)
    if error.hint:
        print(f"  {escape(complete_hints(error.hint, invocation))}", file=sys.stderr)


def _drop_hidden_suggestions(error: click.ClickException) -> None:
    """Suggest for a misspelled command or option only what the help shows, not the original tool's spellings."""
    suggestions = getattr(error, "possibilities", None)
    if suggestions and isinstance(error, click.UsageError) and error.ctx:
        shown = error.ctx.get_help()
        suggestions[:] = [name for name in suggestions if name in shown]


def _print_traceback_if_verbose(arguments: list[str]) -> None:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "-v" in own or "--verbose" in own:
        traceback.print_exc()
