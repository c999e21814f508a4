"""A year of states of a large repository: size of the index and of state files, time to add a state and to read."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from bench import further, index_queries, mounts, year
from bench.clock import cpu_of
from bench.options import Options
from bench.page_server import KEYS, serve_pages
from bench.pages import PAGE
from bench.simulated_repository import BUCKET, CHURN, SimulatedRepository
from bench.table import count, median, mib, ratio, show
from bench.year import Sink, Year
from rwm.config import Credentials, S3Settings
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import connect

SMALL = 10_000
"""Objects of the small repository: what takes as long there does not grow with the number of objects."""


def main(options: Options) -> None:
    """Compare a large repository with many states and a small one with two, each in its own index."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, serve_pages(PAGE) as url:
        directory = Path(name)
        description = (
            f"{count(options.objects)} objects, {options.days} daily states, {CHURN:.1%} of the objects replaced a day"
        )
        large = directory / "large" / "index.sqlite"
        _build(large, options, url, description)
        small = directory / "small" / "index.sqlite"
        with Index.open(small) as index:
            year.record(index, SimulatedRepository(SMALL), 2)
        _print_query_costs(small, large, options, description)
        _print_mount_costs(small, large, url, directory, options)


def _build(path: Path, options: Options, url: str, description: str) -> None:
    repository = SimulatedRepository(options.objects)
    original = Sink()
    entries = list(repository.entries())
    _, peer_cpu = cpu_of(partial(year.write_original, repository.info, entries, original))
    del entries
    with Index.open(path) as index:
        costs = year.record(index, repository, options.days)
        _print_sizes(path, costs, original.size, options, description)
        steps, full = further.record(index, repository, connect(S3Settings(url, Credentials(*KEYS))))
    rows = [(name, f"{cpu:.2f}", ratio(cpu, peer_cpu)) for name, cpu in (*steps.items(), ("all", sum(steps.values())))]
    peer = ("gzip JSON, the original tool", f"{peer_cpu:.2f}", "1.00")
    show(
        f"one further state, without its listing, {description}",
        ("", "CPU s", "ratio"),
        [peer, *rows, ("writing a full file instead", f"{full:.2f}", ratio(full, peer_cpu))],
        f"a full file is written for {costs.fulls} of {options.days} states",
        f"recorded before: the first state in {costs.first:.2f} s of CPU, the others by their changes in "
        f"{median(costs.days or [0]) * 1000:.0f} ms each (median)",
    )


def _print_sizes(path: Path, costs: Year, original: int, options: Options, description: str) -> None:
    everything = original * options.days
    now, checkpointed = year.index_sizes(path)
    fulls = f"rwm, files in the bucket ({costs.fulls} full, {len(costs.deltas)} deltas)"
    sizes = {
        "gzip JSON of every state, the original tool": everything,
        fulls: costs.in_bucket,
        "rwm, index with its journal": now,
        "rwm, index after a checkpoint": checkpointed,
    }
    rows = [(name, mib(size), ratio(size, everything)) for name, size in sizes.items()]
    show(
        f"size of the states: {description}",
        ("", "size", "ratio"),
        rows,
        f"one file of the original tool was written ({mib(original)}) and counted {options.days} times",
        f"one full file of rwm was written ({mib(costs.full)}) and counted {costs.fulls} times",
    )


def _print_query_costs(small: Path, large: Path, options: Options, description: str) -> None:
    base, costs = (index_queries.measure_queries(path, BUCKET, options.rounds) for path in (small, large))
    rows = [
        (name, f"{base[name].ms:.2f}", f"{cost.ms:.2f}", ratio(cost.ms, base[name].ms), count(cost.items))
        for name, cost in costs.items()
    ]
    title = f"reading the index: {description}; beside {count(SMALL)} objects, 2 states; median of {options.rounds}"
    show(title, ("", "small ms", "large ms", "ratio", "items, large"), rows)


def _print_mount_costs(small: Path, large: Path, url: str, directory: Path, options: Options) -> None:
    rows = []
    for name, path in ((f"{count(SMALL)} objects, 2 states", small), ("the large repository, newest state", large)):
        with Index.open(path, readonly=True) as index:
            newest = index.states(Location(BUCKET))[-1]
        runs = [mounts.measure_browsing(path, url, BUCKET, newest.id[:12], directory) for _ in range(options.rounds)]
        ready = median([run.ready for run in runs])
        files = runs[0].files
        listing = median([run.listing for run in runs])
        rows.append((name, f"{ready:.2f}", count(files), f"{listing:.2f}", mib(median([run.resident for run in runs]))))
    headers = ("", "ready s", "files seen", "ls -lR s", "resident after")
    show(f"rwmfs mount of a state, median of {options.rounds}", headers, rows)
