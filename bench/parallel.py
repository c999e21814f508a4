"""The listing of a capture: one page after another beside several at a time, on a fast and on a slow server."""

from __future__ import annotations

from functools import partial

from bench.clock import cpu_of, wall_of
from bench.options import Options
from bench.page_server import BUCKET, KEYS, serve_pages
from bench.table import count, median, ratio, show
from rwm.config import Credentials, S3Settings
from rwm.location import Location
from rwm.s3 import connect
from rwm.s3.listing import list_histories

CONCURRENCY = (1, 4, 8, 16)
DIVISOR = 4
"""A quarter of a large state is listed: about a page in each directory of packs."""


def main(options: Options) -> None:
    """Without a delay the limit is the CPU of the client, with a delay the latency."""
    versions = max(1000, options.objects // DIVISOR)
    rows = []
    for delay in (0.0, options.delay):
        runs: dict[int, list[tuple[float, float]]] = {concurrency: [] for concurrency in CONCURRENCY}
        with serve_pages(versions, delay) as url:
            for _ in range(options.rounds):
                for concurrency, costs in runs.items():
                    costs.append(_measure_listing(url, concurrency, versions))
        medians = {
            concurrency: (median([cpu for cpu, _ in costs]), median([wall for _, wall in costs]))
            for concurrency, costs in runs.items()
        }
        base = medians[1][1]
        for concurrency, (cpu, wall) in medians.items():
            label = f"{delay * 1000:.0f} ms before each page, {concurrency} at once"
            rows.append(
                (label, f"{wall:.2f}", count(versions / wall), ratio(base, wall), f"{cpu / versions * 1e6:.1f}")
            )
    title = f"a capture's listing of {count(versions)} versions from prepared pages, median of {options.rounds}"
    show(title, ("", "wall s", "keys/s", "times as fast", "CPU µs/version"), rows)


def _measure_listing(url: str, concurrency: int, versions: int) -> tuple[float, float]:
    """(seconds of CPU, seconds of wall time) of one listing."""

    def count_versions() -> int:
        s3 = connect(S3Settings(url, Credentials(*KEYS)))
        batches = list_histories(s3, Location(BUCKET), concurrency=concurrency)
        return sum(len(history) for batch in batches for history in batch)

    (found, cpu), wall = wall_of(partial(cpu_of, count_versions))
    assert found == versions, found
    return cpu, wall
