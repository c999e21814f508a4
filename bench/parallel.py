"""A capture's listing, one page after another beside several at a time, from a server at hand and from a slow one."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from bench.clock import cpu_of, wall_of
from bench.options import Options
from bench.server import BUCKET, KEYS, serving
from bench.table import count, median, ratio, show
from rwm.s3 import connect
from rwm.s3.listing.history import list_histories

AT_ONCE = (1, 4, 8, 16)
PART = 4
"""What part of a large state is listed: a quarter has about a page in each directory of packs."""


def main(options: Options) -> None:
    """Without a delay the client's CPU is the limit, with one it is the waiting."""
    versions = max(1000, options.objects // PART)
    rows = []
    for delay in (0.0, options.delay):
        with serving(versions, delay) as url:
            runs: dict[int, list[tuple[float, float]]] = {at_once: [] for at_once in _possible()}
            for _ in range(options.rounds):
                for at_once, taken in runs.items():
                    taken.append(_listed(url, at_once, versions))
        middle = {
            n: (median([cpu for cpu, _ in taken]), median([wall for _, wall in taken])) for n, taken in runs.items()
        }
        base = middle[1][1]
        for at_once, (cpu, wall) in middle.items():
            label = f"{delay * 1000:.0f} ms before each page, {at_once} at once"
            rows.append(
                (label, f"{wall:.2f}", count(versions / wall), ratio(base, wall), f"{cpu / versions * 1e6:.1f}")
            )
    title = f"a capture's listing of {count(versions)} versions from prepared pages, median of {options.rounds}"
    show(title, ("", "wall s", "keys/s", "times as fast", "CPU µs/version"), rows)


def _possible() -> tuple[int, ...]:
    """One page at a time only, where listings cannot be told otherwise."""
    return AT_ONCE if "concurrency" in inspect.signature(list_histories).parameters else AT_ONCE[:1]


def _listed(url: str, at_once: int, versions: int) -> tuple[float, float]:
    """(seconds of CPU, seconds on the clock) of one listing."""

    def listing() -> int:
        s3 = connect(url, *KEYS)
        wanted: dict[str, Any] = {} if at_once == 1 else {"concurrency": at_once}
        return sum(len(history) for part in list_histories(s3, BUCKET, **wanted) for history in part)

    (found, cpu), wall = wall_of(partial(cpu_of, listing))
    assert found == versions, found
    return cpu, wall
