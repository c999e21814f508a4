"""A state as a file for somebody else's tools. Pure: writes to the file it is given."""

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
    """What a file name asks for: the form, and whether it is compressed; None where that is not known."""
    is_compressed = name.endswith(".gz")
    stem = name.removesuffix(".gz")
    for form in ("jsonl", "csv"):
        if stem.endswith(f".{form}"):
            return form, is_compressed
    return None


def write_state(
    info: StateInfo, entries: Iterable[Entry], file: IO[bytes], form: ExportFormat, *, is_compressed: bool
) -> None:
    """Write the state: ``jsonl`` is its canonical form, whose SHA-256 is the id; ``csv`` has a line of column names.

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
        # Every text is quoted: csv.writer would leave a carriage return alone, at which readers end a line.
        table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        table.writerows((*entry[:4], iso(entry.last_modified)) for entry in entries)
    finally:
        text.detach()  # which flushes it; it would close the file otherwise
