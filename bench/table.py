"""Format and print aligned plain-text tables and figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

MIB = 1 << 20


def format_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> str:
    """Title, header, one line for each row (first column left-aligned, others right-aligned), and notes."""
    lines = [headers, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    text = [title]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        text.append("  " + "   ".join(cells).rstrip())
    return "\n".join([*text, *(f"  {note}" for note in notes)])


def show(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> None:
    """Print a :func:`format_table` and an empty line."""
    print(format_table(title, headers, rows, *notes), end="\n\n", flush=True)


def count(number: float) -> str:
    """Format a number as ``1 000 000``."""
    return f"{number:,.0f}".replace(",", " ")


def mib(size: float) -> str:
    """Format bytes as ``12.3 MiB``."""
    return f"{count(size / MIB) if size >= 1000 * MIB else f'{size / MIB:.1f}'} MiB"


def ratio(value: float, base: float) -> str:
    """Format ``value / base``: ``0.0072``, ``0.15``, ``14.20``, ``150``, or ``-`` if ``base`` is 0."""
    if not base:
        return "-"
    times = value / base
    return count(times) if times >= 100 else f"{times:.2f}" if times >= 0.1 else f"{times:.2g}"


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
