"""Tables, JSON and progress. Data goes to stdout; logs, warnings and progress go to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from rwm.errors import UsageError
from rwm.model import RecordedState, StateInfo
from rwm.times import iso

SHORT_ID = 12


def escape(text: str) -> str:
    """The text with control characters made visible: names in a bucket are the attacker's to choose."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def document(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> None:
    """A table with aligned columns; the columns numbered in ``right`` are aligned right."""
    cells = [[escape(str(cell)) for cell in row] for row in rows]
    widths = [max(len(line[n]) for line in [list(headings), *cells]) for n in range(len(headings))]
    numbers = set(right)
    for line in [list(headings), ["-" * width for width in widths], *cells]:
        padded = [
            cell.rjust(width) if n in numbers else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(padded).rstrip())


def warn(text: str) -> None:
    """A warning on stderr."""
    click.echo(f"warning: {escape(text)}", err=True)


def note(*lines: str) -> None:
    """What is going on, on stderr."""
    for line in lines:
        click.echo(escape(line), err=True)


def size(count: int) -> str:
    """Bytes for people: ``1.4 GiB``."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):  # noqa: B007 - the one it stops at
        value /= 1024
        if value < 1024:
            break
    return f"{value:.1f} {unit}"


_size = size  # where a parameter has that name


def count(number: int, what: str) -> str:
    """``1 state``, ``2 states``."""
    return f"{number} {what}{'s' * (number != 1)}"


def state_json(info: StateInfo) -> dict[str, Any]:
    """A state as scripts get to see it: id in full, time in ISO 8601 UTC."""
    return {
        "id": info.id,
        "bucket": info.bucket,
        "captured_at": iso(info.captured_at),
        "origin": info.origin,
        "outcome": info.outcome,
        "objects": info.objects,
        "bytes": info.bytes,
    }


def recorded_json(state: RecordedState) -> dict[str, Any]:
    """A state of the index, with what is known of its truth."""
    checked = None if state.checked_at is None else iso(state.checked_at)
    return {**state_json(state.info), "trust": state.trust, "verified_at": checked}


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something destructive. Without a terminal to ask on, ``--yes`` is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask on: {question}", hint="say --yes to answer")
    click.confirm(question, abort=True, err=True)


class Progress:
    """A counter that a service moves."""

    def __init__(self, total: int | None, advance: Callable[[int, int], object]) -> None:
        self.total = total
        self._advance = advance

    def __call__(self, count: int = 1, size: int = 0) -> None:
        """Say that ``count`` more are done, and how many bytes they are."""
        self._advance(count, size)


def figures(count: float, rate: float | None, size: int) -> str:
    """How far something without a known end is: ``12,345 · 1,700/s · 3.4 MiB``."""
    parts = [f"{count:,.0f}", f"{rate:,.0f}/s" if rate else "", _size(size) if size else ""]
    return " · ".join(part for part in parts if part)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Progress]:
    """A live counter on stderr if that is a terminal, nothing otherwise. Without a total: how many, how fast, bytes."""
    if not sys.stderr.isatty():
        yield Progress(total, lambda count, size: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Figures(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(figures(task.completed, task.speed, task.fields["size"]))

    middle = [Figures()] if total is None else [MofNCompleteColumn()]
    columns = [TextColumn("{task.description}"), BarColumn(), *middle, TimeElapsedColumn()]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, size=0)

        def advance(count: int, size: int) -> None:
            bar.update(task, advance=count, size=bar.tasks[0].fields["size"] + size)

        yield Progress(total, advance)
