"""Memory of a prune, and how fast servers delete versions in different orders."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import processes
from bench.options import Options
from bench.table import count, median, mib, ratio, show
from rwm.prune import BLOCK, Deletion, DeletionSpool, Stage, delete_in_batches, separate_keys
from rwm.s3 import DELETE_BATCH, S3
from tests import servers

AT_LEAST = 15_000
DIVISORS = (10, 1)
"""The buckets have a tenth of ten times the objects of a large state, and all of them."""

VERSIONS_OF_A_KEY = 8
PUT_THREADS = 8

Order = Callable[[DeletionSpool], Iterable[Deletion]]
ORDERS: dict[str, Order] = {
    "as listed": lambda spool: spool.read(Stage.VERSIONS),
    "the first version of each key, then the second ones": lambda spool: (
        item for _, item in separate_keys(list(enumerate(spool.read(Stage.VERSIONS))))
    ),
    "rwm: interleaved": lambda spool: (item for _, item in spool.read_interleaved(Stage.VERSIONS, DELETE_BATCH)),
}
"""By label. Ratios are relative to the first."""


def main(options: Options) -> None:
    """Prune generated buckets, then real ones in each order."""
    _show_memory([max(AT_LEAST, 10 * options.objects // divisor) for divisor in DIVISORS])
    for start, program in ((servers.seaweedfs, "weed"), (servers.rgw, "radosgw")):
        if start is servers.seaweedfs or shutil.which(program):
            with start() as server:
                _compare_orders(server.name, server.connect(), options)


def _show_memory(sizes: list[int]) -> None:
    runs = [_prune(versions) for versions in sizes]
    rows = [
        (
            f"{count(versions)} versions and markers",
            count(run["deleted"]),
            mib(run["peak"]),
            ratio(run["peak"], runs[0]["peak"]),
            f"{run['planned'] / versions * 1e6:.1f}",
            f"{run['executed'] / run['deleted'] * 1e6:.1f}",
        )
        for versions, run in zip(sizes, runs, strict=True)
    ]
    headers = ("", "deleted", "peak memory", "ratio", "audit, plan: µs/version", "execution: µs/deletion")
    note = "peak memory is VmHWM of the pruning process; the columns after it are its CPU, without a server"
    show("a prune of a generated repository of which half was removed", headers, rows, note)


def _prune(versions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name:
        index = str(Path(name) / "index" / "index.sqlite")
        arguments = (index, str(versions))
        processes.run_measured(processes.python_command("bench.pruned", "capture", *arguments))
        used = processes.run_measured(processes.python_command("bench.pruned", "prune", *arguments))
    result: dict[str, Any] = json.loads(used.output)
    return result


def _compare_orders(name: str, s3: S3, options: Options) -> None:
    keys = max(BLOCK, options.real // VERSIONS_OF_A_KEY // 4)
    speeds: dict[str, list[float]] = {label: [] for label in ORDERS}
    for number in range(options.rounds):
        for label, order in ORDERS.items():
            bucket = f"bench-{number}-{len(label)}"
            spool = _fill(s3, bucket, keys)
            begun = time.monotonic()
            deque(delete_in_batches(s3, bucket, order(spool)), maxlen=0)
            speeds[label].append(spool.count(Stage.VERSIONS) / (time.monotonic() - begun))
    base = median(speeds[next(iter(ORDERS))])
    rows = [(label, count(median(found)), ratio(median(found), base)) for label, found in speeds.items()]
    title = f"deleting {VERSIONS_OF_A_KEY} versions each of {count(keys)} keys from {name}, median of {options.rounds}"
    show(title, ("order", "versions/s", "ratio"), rows)


def _fill(s3: S3, bucket: str, keys: int) -> DeletionSpool:
    """Write the versions, and a last one of each key that stays; the deletions in listing order."""
    s3.create_bucket(bucket)
    s3.enable_versioning(bucket)

    def put(number: int) -> list[Deletion]:
        key = f"data/{number * 256 // keys:02x}/{number:064x}"
        versions = [s3.put(bucket, key, b"x") for _ in range(VERSIONS_OF_A_KEY + 1)]
        return [Deletion(key, version, 1) for version in versions[:-1]]

    spool = DeletionSpool()
    with ThreadPoolExecutor(PUT_THREADS) as pool:
        for deletions in pool.map(put, range(keys)):
            spool.add(Stage.VERSIONS, deletions)
    return spool.finish()
