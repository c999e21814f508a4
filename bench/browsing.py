"""Browsing mounts of large states: time until ready, ``ls -lR`` and ``find`` over all files, memory afterwards.

All mounts show the same objects of the same server of prepared pages. rwmfs reads its index, which a capture of that
server has filled; rclone lists the bucket on each access.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import kernel_caches, mounts, processes, programs
from bench.mounts import Mount
from bench.options import Options
from bench.page_server import BUCKET, KEYS, serve_pages
from bench.table import count, mib, ratio, show
from rwm.config import Credentials

AT = "2026-11-01T00:00:00Z"
"""A time after the upload of all prepared objects."""

DIVISORS = (10, 1)
"""The states have a tenth of the objects of a large one, and all of them."""

TIME_LIMIT = 300
"""Seconds for one command."""

TIMED_OUT = 124
"""The exit code of ``timeout`` after the time limit."""

RWMFS = "rwmfs"
COMMANDS = {"ls -lR": 'ls -lR "$1" | grep -c ^-', "find": 'find "$1" -type f | wc -l'}
"""Run one after the other on a mount. Each prints the number of files found."""

OpenMount = Callable[[], AbstractContextManager[Mount]]


class BrowseResult(NamedTuple):
    """Seconds until the mount was ready, seconds of each completed command of :data:`COMMANDS`, resident bytes."""

    ready: float
    seconds: dict[str, float]
    resident: int


def main(options: Options) -> None:
    """Measure the smaller state first: it predicts which commands stay within the time limit on the larger one."""
    before: dict[str, BrowseResult] = {}
    smaller = 0
    for divisor in DIVISORS:
        objects = max(1000, options.objects // divisor)
        with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, serve_pages(objects) as url:
            mounts_by_peer = _mounts_by_peer(Path(name), url)
            results = {
                label: _browse(
                    mount, objects, feasible(before[label], objects / smaller) if before else tuple(COMMANDS)
                )
                for label, mount in mounts_by_peer.items()
            }
        _show(objects, results)
        before, smaller = results, objects


def _mounts_by_peer(directory: Path, url: str) -> dict[str, OpenMount]:
    """The mounts of all peers, rwmfs first."""
    index = directory / "index" / "index.sqlite"
    processes.run_measured(processes.python_command("bench.captured", url, str(index)))
    keys = Credentials(*KEYS)
    config = mounts.write_configuration(directory / "bench.conf", url, keys, index)
    rclone = partial(mounts.rclone, url, keys, BUCKET, AT)
    return {
        RWMFS: partial(mounts.rwmfs, config, BUCKET, "latest", directory / "cache"),
        "rclone mount": rclone,
        "rclone mount --use-server-modtime": partial(rclone, "--use-server-modtime"),
    }


def feasible(before: BrowseResult, factor: float) -> tuple[str, ...]:
    """The commands expected to stay within :data:`TIME_LIMIT` with ``factor`` times as many files."""
    return tuple(name for name, seconds in before.seconds.items() if seconds * factor <= TIME_LIMIT)


def _browse(open_mount: OpenMount, objects: int, commands: Sequence[str]) -> BrowseResult:
    seconds: dict[str, float] = {}
    with open_mount() as mount:
        for name in commands:
            kernel_caches.drop()
            limited = ["timeout", "--kill-after=10", str(TIME_LIMIT), "sh", "-c", COMMANDS[name], "sh"]
            try:
                used = processes.run_measured([*limited, str(mount.path)])
            except processes.CommandFailed as failed:
                if failed.code != TIMED_OUT:
                    raise
                continue
            assert int(used.output) == objects, f"{name} found {used.output} files of {objects}"
            seconds[name] = used.wall
        return BrowseResult(mount.ready, seconds, mount.memory()[0])


def _show(objects: int, results: dict[str, BrowseResult]) -> None:
    base = results[RWMFS]
    rows = [
        (
            label,
            f"{result.ready:.2f}",
            *(text for name in COMMANDS for text in figures(result.seconds.get(name), base.seconds.get(name))),
            mib(result.resident),
            ratio(result.resident, base.resident),
        )
        for label, result in results.items()
    ]
    headers = ("", "ready s", "ls -lR s", "ratio", "find s", "ratio", "resident after", "ratio")
    show(
        f"browsing a mount of {count(objects)} objects, from a server of prepared pages",
        headers,
        rows,
        f"find runs after ls; a command is stopped after {TIME_LIMIT} s, or skipped if it is expected to take longer",
        f"{programs.program_version(programs.rclone_program())}; {kernel_caches.note()}",
    )


def figures(seconds: float | None, base: float | None) -> tuple[str, str]:
    """(seconds, ratio to rwmfs); without ``seconds`` the time limit was exceeded."""
    if seconds is None:
        return f"> {TIME_LIMIT}", "-"
    return f"{seconds:.2f}", ratio(seconds, base or 0)
