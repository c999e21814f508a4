"""A year of states of a large repository: what it takes to keep them, to add one, and to read them."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from bench import further, mounting, reading, year
from bench.clock import cpu_of
from bench.options import Options
from bench.pages import PAGE
from bench.server import KEYS, serving
from bench.states import BUCKET, CHURN, Repository
from bench.table import count, median, mib, ratio, show
from bench.year import Sink, Year
from rwm.index import Index
from rwm.s3 import connect

SMALL = 10_000
"""Objects of the repository that the large one is compared with: what does not grow takes as long there."""


def main(options: Options) -> None:
    """A large repository with many states, and a small one with two, each with an index of its own."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, serving(PAGE) as url:
        directory = Path(name)
        what = (
            f"{count(options.objects)} objects, {options.days} daily states, {CHURN:.1%} of the objects replaced a day"
        )
        large = directory / "large" / "index.sqlite"
        _build(large, options, url, what)
        small = directory / "small" / "index.sqlite"
        with Index.open(small) as index:
            year.record(index, Repository(SMALL), 2)
        _reading(small, large, options, what)
        _mounting(small, large, url, directory, options)


def _build(path: Path, options: Options, url: str, what: str) -> None:
    repository = Repository(options.objects)
    original = Sink()
    entries = list(repository.entries())
    _, peer_cpu = cpu_of(partial(year.write_original, repository.info, entries, original))
    del entries
    with Index.open(path) as index:
        taken = year.record(index, repository, options.days)
        _sizes(path, taken, original.size, options, what)
        steps, full = further.record(index, repository, connect(url, *KEYS))
    rows = [(name, f"{cpu:.2f}", ratio(cpu, peer_cpu)) for name, cpu in (*steps.items(), ("all", sum(steps.values())))]
    peer = ("gzip JSON, the original tool", f"{peer_cpu:.2f}", "1.00")
    show(
        f"one further state, its listing left out, {what}",
        ("", "CPU s", "ratio"),
        [peer, *rows, ("writing a whole file instead", f"{full:.2f}", ratio(full, peer_cpu))],
        f"a whole file is written for {taken.fulls} of {options.days} states",
        f"recorded before: the first state in {taken.first:.2f} s of CPU, the others by what changed in "
        f"{median(taken.days or [0]) * 1000:.0f} ms each (median)",
    )


def _sizes(path: Path, taken: Year, original: int, options: Options, what: str) -> None:
    everything = original * options.days
    now, checkpointed = year.index_sizes(path)
    fulls = f"rwm, files in the bucket ({taken.fulls} whole, {len(taken.deltas)} deltas)"
    sizes = {
        "gzip JSON of every state, the original tool": everything,
        fulls: taken.in_bucket,
        "rwm, index with its journal": now,
        "rwm, index after a checkpoint": checkpointed,
    }
    rows = [(name, mib(size), ratio(size, everything)) for name, size in sizes.items()]
    show(
        f"room for states: {what}",
        ("", "size", "ratio"),
        rows,
        f"one file of the original tool was written ({mib(original)}) and counted {options.days} times",
        f"one whole file of ours was written ({mib(taken.full)}) and counted {taken.fulls} times",
    )


def _reading(small: Path, large: Path, options: Options, what: str) -> None:
    base, figures = (reading.questions(path, BUCKET, options.rounds) for path in (small, large))
    rows = [
        (name, f"{base[name].ms:.2f}", f"{answered.ms:.2f}", ratio(answered.ms, base[name].ms), count(answered.items))
        for name, answered in figures.items()
    ]
    title = f"reading the index: {what}; beside {count(SMALL)} objects, 2 states; median of {options.rounds}"
    show(title, ("", "small ms", "large ms", "ratio", "items, large"), rows)


def _mounting(small: Path, large: Path, url: str, directory: Path, options: Options) -> None:
    rows = []
    for name, path in ((f"{count(SMALL)} objects, 2 states", small), ("the large one, newest state", large)):
        with Index.open(path, readonly=True) as index:
            newest = index.states(BUCKET)[-1]
        runs = [mounting.look(path, url, BUCKET, newest.id[:12], directory) for _ in range(options.rounds)]
        ready = median([run.ready for run in runs])
        files = runs[0].files
        listing = median([run.listing for run in runs])
        rows.append((name, f"{ready:.2f}", count(files), f"{listing:.2f}", mib(median([run.resident for run in runs]))))
    headers = ("", "ready s", "files seen", "ls -lR s", "resident then")
    show(f"rwmfs mount of a state, median of {options.rounds}", headers, rows)
