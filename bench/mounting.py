"""A mount of a recorded state: seconds until it can be used, and the memory of its process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from bench import child
from bench.server import KEYS

DIRECTORIES = 4
PENDING = 1.0
"""Seconds in which a mount comes about, or does not, when whoever asked for it is gone."""

GRACE = 10.0
"""Seconds that the process of a mount may take to end."""


class Mounted(NamedTuple):
    """Seconds until ``rwmfs mount`` returned; files that ``ls -lR`` showed and its seconds; bytes resident then."""

    ready: float
    files: int
    listing: float
    resident: int


def mount(index_path: Path, endpoint: str, bucket: str, at: str, directory: Path) -> Mounted:
    """Mount the state in a process of its own, look at a few directories of packs, and end it."""
    config = directory / "bench.conf"
    config.touch(mode=0o600)
    keys = {"s3_access_key": KEYS[0], "s3_secret_key": KEYS[1]}
    config.write_text(json.dumps({"s3_endpoint_url": endpoint, **keys, "index_path": str(index_path)}))
    place = directory / "mnt"
    place.mkdir(exist_ok=True)
    command = child.python("rwmfs", "-c", str(config), "--json", "mount", bucket, str(place), "--at", at)
    command += ["--log-file", str(directory / "rwmfs.log")]
    pid = 0
    try:
        used = child.run(command)
        pid = int(json.loads(used.output)["pid"])
        shown = child.run(["ls", "-lR", *map(str, sorted((place / "data").iterdir())[:DIRECTORIES])])
        resident, _ = child.memory(pid)
    finally:
        _end(place, pid)
    files = sum(line.startswith("-") for line in shown.output.splitlines())
    return Mounted(used.wall, files, shown.wall, resident)


def _end(place: Path, pid: int) -> None:
    """Unmount, and see that the process is gone. Without a ``pid`` we were interrupted while it was made."""
    if not pid:
        time.sleep(PENDING)
    with contextlib.suppress(RuntimeError):
        child.run(child.python("rwmfs", "umount", str(place)))
    if not pid:
        return
    deadline = time.monotonic() + GRACE
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGTERM)
