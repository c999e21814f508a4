"""Memory of a whole capture: that of a large bucket beside those of smaller ones."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from bench import child
from bench.options import Options
from bench.server import serving
from bench.table import count, mib, ratio, show

SMALLER = (100, 10, 1)
"""How many times smaller the buckets are."""


def main(options: Options) -> None:
    """One capture each: listed from prepared pages, spooled, identified, copied into the bucket, recorded."""
    taken = [_capture(max(1000, options.objects // times)) for times in SMALLER]
    base = taken[0]["peak"]
    rows = [
        (
            f"{count(each['objects'])} versions",
            mib(each["peak"]),
            ratio(each["peak"], base),
            *(f"{each[name]:.2f}" for name in ("listed", "identified", "recorded", "cpu", "wall")),
        )
        for each in taken
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
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, serving(versions) as url:
        index = Path(name) / "index" / "index.sqlite"
        used = child.run(child.python("bench.captured", url, str(index)))
        taken: dict[str, Any] = json.loads(used.output)
    assert taken["objects"] == versions, taken
    return taken
