"""Printing: aligned plain-text tables, and figures as people read them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

MIB = 1 << 20


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> str:
    """A title, a header, one line for each row (the first column to the left, numbers to the right), notes below."""
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
    """Print a :func:`table`, with an empty line behind it."""
    print(table(title, headers, rows, *notes), end="\n\n", flush=True)


def count(number: float) -> str:
    """``1 000 000``: digits in groups of three."""
    return f"{number:,.0f}".replace(",", " ")


def mib(size: float) -> str:
    """Bytes as ``12.3 MiB``."""
    return f"{count(size / MIB) if size >= 1000 * MIB else f'{size / MIB:.1f}'} MiB"


def ratio(value: float, base: float) -> str:
    """``value`` as a multiple of ``base``: ``0.0072``, ``0.15``, ``14.20``, ``150``, or ``-`` without a base."""
    if not base:
        return "-"
    times = value / base
    return count(times) if times >= 100 else f"{times:.2f}" if times >= 0.1 else f"{times:.2g}"


def median(values: Sequence[float]) -> float:
    """The middle of a few rounds."""
    return statistics.median(values)
