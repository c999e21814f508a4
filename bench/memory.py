"""Peak memory of a capture: a large bucket beside smaller ones."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from bench import processes
from bench.options import Options
from bench.page_server import serve_pages
from bench.table import count, mib, ratio, show

DIVISORS = (100, 10, 1)
"""The buckets have a hundredth and a tenth of the versions of a large one, and all of them."""


def main(options: Options) -> None:
    """Capture each bucket once: list prepared pages, spool, compute the id, write the state file, record."""
    captures = [_capture(max(1000, options.objects // divisor)) for divisor in DIVISORS]
    base = captures[0]["peak"]
    rows = [
        (
            f"{count(each['objects'])} versions",
            mib(each["peak"]),
            ratio(each["peak"], base),
            *(f"{each[name]:.2f}" for name in ("listed", "identified", "recorded", "cpu", "wall")),
        )
        for each in captures
    ]
    headers = (
        "",
        "peak memory",
        "ratio",
        "listed, spooled",
        "id, compared, file",
        "put, recorded",
        "CPU s",
        "wall s",
    )
    note = "peak memory is VmHWM of the capturing process; the columns after it are seconds of its CPU"
    show("a first capture, from a server of prepared pages", headers, rows, note)


def _capture(versions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, serve_pages(versions) as url:
        index = Path(name) / "index" / "index.sqlite"
        used = processes.run_measured(processes.python_command("bench.captured", url, str(index)))
        result: dict[str, Any] = json.loads(used.output)
    assert result["objects"] == versions, result
    return result
