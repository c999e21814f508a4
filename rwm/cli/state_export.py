"""``rwm state export``: write a state to a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from rwm import console
from rwm.cli.last_clean import resolve_state
from rwm.cli.state import LOCATION_OPTION, describe_contents
from rwm.console import STATE, App, common_options, pass_app
from rwm.errors import Refused, RwmError, UsageError
from rwm.location import Location


@click.command("export")
@common_options
@click.argument("state", metavar="STATE", type=STATE)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), help="The format (default: by the name of FILE)."
)
@LOCATION_OPTION
@pass_app
def export_(app: App, state: str, file: Path, form: str | None, location: Location | None) -> None:
    """Write STATE to FILE for use by other tools.

    The name selects the format: .jsonl or .csv, with .gz compressed. - is standard output.
    """
    from rwm.states import format_from_name, write_state

    if file.is_dir():
        raise UsageError(f"{file} is a directory", hint="name a file that does not exist yet")
    by_name = format_from_name(file.name)
    if by_name is None and form is None:
        if str(file) != "-":
            raise UsageError(f"{file}: the format is unknown", hint="end the name in .jsonl or .csv, or use --format")
        form = "jsonl"
    info = resolve_state(app, state, location)
    form_by_name, is_compressed = by_name or (form, file.name.endswith(".gz"))
    with _open_new(file) as out:
        write_state(info, app.readonly_index.entries(info), out, form or form_by_name, is_compressed=is_compressed)  # type: ignore[arg-type]
    if str(file) == "-":
        return
    if app.json:
        console.print_json({**console.state_json(info), "file": str(file)})
    else:
        short = info.id[: console.SHORT_ID]
        click.echo(console.escape(f"state {short} of {info.location}: {describe_contents(info)}, in {file}"))


@contextmanager
def _open_new(path: Path) -> Iterator[IO[bytes]]:
    """Create the file, which must not exist, or use stdout for ``-``. An incomplete file is removed."""
    if str(path) == "-":
        with _write_errors("standard output", "the output is incomplete"), console.strict_output():
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused(f"{path} already exists", hint="name another file, or remove it") from error
    except OSError as error:
        raise RwmError(f"{path}: {error.strerror}", hint="name a file in a directory that you may write to") from error
    try:
        with (
            _write_errors(str(path), "free some space, or name another place; the incomplete file was removed"),
            os.fdopen(descriptor, "wb") as file,
        ):
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _write_errors(target: str, hint: str) -> Iterator[None]:
    """Turn OSError into RwmError; a broken pipe is handled by the error boundary."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RwmError(f"{target}: {error.strerror}", hint=hint) from error
