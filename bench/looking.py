"""Looking at mounts of large states: until they can be used, ``ls -lR`` and ``find`` over all files, memory after it.

All mounts are of the same objects in the same server of prepared pages. Ours reads its index, made by a capture of
that server beforehand; rclone lists the bucket whenever it is asked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench import caches, child, mounting, peers
from bench.mounting import Mount
from bench.options import Options
from bench.server import BUCKET, KEYS, serving
from bench.table import count, mib, ratio, show
from rwm.s3 import Credentials

AT = "2026-11-01T00:00:00Z"
"""A time at which all prepared objects were there."""

SMALLER = (10, 1)
"""How many times smaller the states are than a large one."""

PATIENCE = 300
"""Seconds that one look may take."""

TIMED_OUT = 124
"""The exit code of ``timeout`` when it had to end a command."""

OURS = "rwmfs"
COMMANDS = {"ls -lR": 'ls -lR "$1" | grep -c ^-', "find": 'find "$1" -type f | wc -l'}
"""One after the other on a mount. Each prints how many files it found."""

Open = Callable[[], AbstractContextManager[Mount]]


class Seen(NamedTuple):
    """Seconds until the mount was ready, those of each of :data:`COMMANDS` that came to an end, bytes resident then."""

    ready: float
    seconds: dict[str, float]
    resident: int


def main(options: Options) -> None:
    """The smaller state first: it tells whether a peer has a chance to end with the larger one."""
    before: dict[str, Seen] = {}
    smaller = 0
    for times in SMALLER:
        objects = max(1000, options.objects // times)
        with tempfile.TemporaryDirectory(prefix="rwm-bench-") as name, serving(objects) as url:
            mounts = _mounts(Path(name), url)
            seen = {
                label: _look(mount, objects, hopeful(before[label], objects / smaller) if before else tuple(COMMANDS))
                for label, mount in mounts.items()
            }
        _show(objects, seen)
        before, smaller = seen, objects


def _mounts(directory: Path, url: str) -> dict[str, Open]:
    """How each peer mounts what is in the server, ours first."""
    index = directory / "index" / "index.sqlite"
    child.run(child.python("bench.captured", url, str(index)))
    keys = Credentials(*KEYS)
    config = mounting.configuration(directory / "bench.conf", url, keys, index)
    rclone = partial(mounting.rclone, url, keys, BUCKET, AT)
    return {
        OURS: partial(mounting.rwmfs, config, BUCKET, "latest", directory / "cache"),
        "rclone mount": rclone,
        "rclone mount --use-server-modtime": partial(rclone, "--use-server-modtime"),
    }


def hopeful(before: Seen, times: float) -> tuple[str, ...]:
    """The commands that should end within :data:`PATIENCE` where there are so many times more files."""
    return tuple(name for name, seconds in before.seconds.items() if seconds * times <= PATIENCE)


def _look(opened: Open, objects: int, commands: Sequence[str]) -> Seen:
    seconds: dict[str, float] = {}
    with opened() as mount:
        for name in commands:
            caches.drop()
            patient = ["timeout", "--kill-after=10", str(PATIENCE), "sh", "-c", COMMANDS[name], "sh"]
            try:
                used = child.run([*patient, str(mount.place)])
            except child.Failed as failed:
                if failed.code != TIMED_OUT:
                    raise
                continue
            assert int(used.output) == objects, f"{name} found {used.output} files of {objects}"
            seconds[name] = used.wall
        return Seen(mount.ready, seconds, mount.memory()[0])


def _show(objects: int, seen: dict[str, Seen]) -> None:
    base = seen[OURS]
    rows = [
        (
            label,
            f"{one.ready:.2f}",
            *(text for name in COMMANDS for text in figures(one.seconds.get(name), base.seconds.get(name))),
            mib(one.resident),
            ratio(one.resident, base.resident),
        )
        for label, one in seen.items()
    ]
    headers = ("", "ready s", "ls -lR s", "ratio", "find after it s", "ratio", "resident then", "ratio")
    show(
        f"looking at a mount of {count(objects)} objects, from a server of prepared pages",
        headers,
        rows,
        f"a look that took more than {PATIENCE} s was ended, and one that would take that long was not begun",
        f"{peers.version(peers.rclone_program())}; {caches.note()}",
    )


def figures(seconds: float | None, base: float | None) -> tuple[str, str]:
    """(seconds, as a multiple of ours), or words for those that nobody waited for."""
    if seconds is None:
        return f"> {PATIENCE}", "-"
    return f"{seconds:.2f}", ratio(seconds, base or 0)
