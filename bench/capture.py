"""CPU time of a whole capture, the first one and one that follows, beside boto3's paginator over the same pages."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench import listers, processes
from bench.listers import Target
from bench.options import Options
from bench.page_server import BUCKET, KEYS, serve_pages
from bench.simulated_repository import CHURN
from bench.table import count, mib, ratio, show
from rwm.config import Credentials

PHASES = ("listed", "identified", "recorded", "cpu")


def main(options: Options) -> None:
    """A bucket as it is, and as it is after ``CHURN`` of its keys were replaced."""
    versions = max(1000, options.objects // 3)
    replaced = round(CHURN * 1000)
    paginator: list[float] = []
    first: list[dict[str, float]] = []
    following: list[dict[str, float]] = []
    with serve_pages(versions) as before, serve_pages(versions, replaced=replaced) as after:
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name:
                index = Path(name) / "index" / "index.sqlite"
                first.append(_capture(before, index, versions))
                following.append(_capture(after, index, versions))
            taken = listers.boto3_paginator(Target(before, Credentials(*KEYS), BUCKET, ""), "")
            assert taken.versions == versions, taken
            paginator.append(taken.cpu)
    base = min(paginator)
    rows = [("boto3's paginator, listing alone", *["-"] * 3, f"{base / versions * 1e6:.1f}", "1.00", "-")]
    for label, runs in (("first capture", first), (f"following, {CHURN:.1%} replaced", following)):
        least = {name: min(run[name] for run in runs) for name in (*PHASES, "peak")}
        phases = [f"{least[name] / versions * 1e6:.1f}" for name in PHASES]
        rows.append((label, *phases, ratio(base, least["cpu"]), mib(least["peak"])))
    title = f"a capture of {count(versions)} versions from prepared pages, least of {options.rounds}"
    phase_names = ("listed, spooled", "id, compared, file", "put, recorded")
    show(
        title,
        ("", *phase_names, "CPU µs/version", "times less", "peak memory"),
        rows,
        "microseconds of CPU for each version; peak memory is VmHWM of the process",
    )


def _capture(url: str, index: Path, versions: int) -> dict[str, float]:
    used = processes.run_measured(processes.python_command("bench.captured", url, str(index)))
    taken: dict[str, float] = json.loads(used.output)
    assert taken["objects"] == versions, taken
    return taken
