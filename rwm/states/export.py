"""Export a state as JSON Lines or CSV. Pure: writes to the given file."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from typing import IO, Literal

from rwm.model import Entry, StateInfo
from rwm.statefile import canonical_form, gzip_writer
from rwm.times import iso

ExportFormat = Literal["jsonl", "csv"]
COLUMNS = ("key", "version_id", "size", "etag", "last_modified")


def format_from_name(name: str) -> tuple[ExportFormat, bool] | None:
    """Format and compression from the extensions of a file name; None for another extension."""
    is_compressed = name.endswith(".gz")
    stem = name.removesuffix(".gz")
    for form in ("jsonl", "csv"):
        if stem.endswith(f".{form}"):
            return form, is_compressed
    return None


def write_state(
    info: StateInfo, entries: Iterable[Entry], file: IO[bytes], form: ExportFormat, *, is_compressed: bool
) -> None:
    """Write the state: ``jsonl`` is its canonical form, whose SHA-256 is the id; ``csv`` has a header line.

    Times are ISO 8601 in UTC in both, sizes bytes. ``entries`` come sorted by key.
    """
    if is_compressed:
        with gzip_writer(file) as out:
            _write(info, entries, out, form)
    else:
        _write(info, entries, file, form)


def _write(info: StateInfo, entries: Iterable[Entry], file: IO[bytes] | gzip.GzipFile, form: ExportFormat) -> None:
    if form == "jsonl":
        for piece in canonical_form(info, entries):
            file.write(piece)
        return
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    try:
        csv.writer(text, lineterminator="\n").writerow(COLUMNS)
        # Quote all text: csv.writer would not quote a carriage return, which readers take for the end of a line.
        table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        table.writerows((*entry[:4], iso(entry.last_modified)) for entry in entries)
    finally:
        text.detach()  # flushes, and leaves the file open
