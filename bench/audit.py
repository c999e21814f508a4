"""Memory and CPU of an audit: a large honest repository, and listings that an attacker made large."""

from __future__ import annotations

import json
from typing import Any

from bench import processes
from bench.audited import BUCKETS
from bench.options import Options
from bench.table import count, median, mib, ratio, show

HONEST = "honest"
AT_LEAST = 10_000


def main(options: Options) -> None:
    """Audit each listing in a process of its own, beside the same listing grouped by key alone."""
    versions = max(AT_LEAST, 10 * options.objects)
    rows = []
    for name, (title, _) in BUCKETS.items():
        # An honest listing decides, so it is measured repeatedly.
        runs = [_measure(name, versions) for _ in range(options.rounds if name == HONEST else 1)]
        cpu = median([(run["audited"] - run["grouped"]) / versions for run in runs])
        grouped = median([run["grouped"] / versions for run in runs])
        rows.append(
            (
                title,
                mib(max(run["peak"] for run in runs)),
                f"{cpu * 1e6:.1f}",
                f"{grouped * 1e6:.1f}",
                ratio(cpu, grouped),
                count(runs[0]["findings"]),
            )
        )
    headers = ("", "peak memory", "CPU µs/version", "made, grouped", "ratio", "findings")
    notes = (
        "CPU beyond that of making the entries and grouping them by key in the same process",
        "peak memory is VmHWM of the auditing process",
    )
    show(f"an audit of {count(versions)} versions, median of {options.rounds} for the first", headers, rows, *notes)


def _measure(name: str, versions: int) -> dict[str, Any]:
    used = processes.run_measured(processes.python_command("bench.audited", name, str(versions)))
    result: dict[str, Any] = json.loads(used.output)
    return result
