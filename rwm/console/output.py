"""Printing: results to stdout; notes, warnings and questions to stderr. Commands in them can be typed as they are."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from rwm.console.formatting import escape
from rwm.console.hints import Invocation, complete_command, complete_hints
from rwm.console.standard_streams import stream_error
from rwm.errors import UsageError

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\n]+")
"""All that may be unprintable in JSON, which escapes ASCII control characters but DEL itself."""


def print_json(document: Any) -> None:
    """Print one JSON document to stdout. What is no printable character is escaped: stdout may be a terminal."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    click.echo(_UNPRINTABLE.sub(_escape_for_json, text))


def _escape_for_json(match: re.Match[str]) -> str:
    text = match[0]
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout until the reader has closed it."""
    for line in lines:
        if stream_error(sys.stdout):
            return
        click.echo(line)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> None:
    """Print a table with aligned columns to stdout; ``right`` has the numbers of the right-aligned columns."""
    cells = [[escape(str(cell)) for cell in row] for row in rows]
    widths = [max(len(line[n]) for line in [list(headings), *cells]) for n in range(len(headings))]
    right_aligned = set(right)
    for line in [list(headings), ["-" * width for width in widths], *cells]:
        padded = [
            cell.rjust(width) if n in right_aligned else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(padded).rstrip())


def print_text(*lines: str) -> None:
    """Print sentences to stdout."""
    for line in lines:
        click.echo(_printable(line))


def print_command(command: str) -> None:
    """Print a command to type to stdout, on a line of its own."""
    click.echo(f"  {escape(complete_command(command, current_invocation()))}")


def warn(text: str) -> None:
    """Print a warning to stderr."""
    click.echo(f"warning: {_printable(text)}", err=True)


def print_note(*lines: str) -> None:
    """Print status lines to stderr."""
    for line in lines:
        click.echo(_printable(line), err=True)


def _printable(text: str) -> str:
    return escape(complete_hints(text, current_invocation()))


def current_invocation() -> Invocation:
    """How this run was called; unknown outside of a command."""
    context = click.get_current_context(silent=True)
    found = getattr(context.find_root().obj, "invocation", None) if context else None
    return found if isinstance(found, Invocation) else Invocation()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before a destructive operation, unless ``yes``. Raises UsageError without a terminal, Abort on "no"."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"no terminal to ask for confirmation: {question}", hint="confirm with --yes")
    click.confirm(_printable(question), abort=True, err=True)
