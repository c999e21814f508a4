"""A progress display on stderr, shown on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rwm.console.formatting import format_size


class Progress:
    """A callable that counts finished items. ``total`` is None when their number is not known."""

    def __init__(self, total: int | None, advance: Callable[[int, int], object]) -> None:
        self.total = total
        self._advance = advance

    def __call__(self, count: int = 1, size: int = 0) -> None:
        """Add ``count`` finished items of ``size`` bytes in all."""
        self._advance(count, size)


def format_figures(count: float, rate: float | None, size: int) -> str:
    """Items, items per second and bytes: ``12,345 · 1,700/s · 3.4 MiB``."""
    parts = [f"{count:,.0f}", f"{rate:,.0f}/s" if rate else "", format_size(size) if size else ""]
    return " · ".join(part for part in parts if part)


@contextmanager
def show_progress(label: str, total: int | None = None) -> Iterator[Progress]:
    """Show a progress bar while the block runs; without a total: items, rate and bytes."""
    if not sys.stderr.isatty():
        yield Progress(total, lambda count, size: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class FiguresColumn(ProgressColumn):
        """What :func:`format_figures` gives for the task."""

        def render(self, task: Task) -> Text:
            """The text of the column."""
            return Text(format_figures(task.completed, task.speed, task.fields["size"]))

    middle = [FiguresColumn()] if total is None else [MofNCompleteColumn()]
    columns = [TextColumn("{task.description}"), BarColumn(), *middle, TimeElapsedColumn()]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, size=0)

        def advance(count: int, size: int) -> None:
            bar.update(task, advance=count, size=bar.tasks[0].fields["size"] + size)

        yield Progress(total, advance)
