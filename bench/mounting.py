"""Mounts of a past state, ours and rclone's, that do not outlive the measurement, and what their processes take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import child, peers
from bench.counted import Counted, counted
from bench.server import KEYS
from rwm import process
from rwm.process import Daemon
from rwm.s3 import Credentials

DIRECTORIES = 4
GRACE = 30.0
"""Seconds that the process of a mount may take to end."""

READY = 120.0
"""Seconds until a mount must be usable."""

TUNED = ("--vfs-cache-mode", "full", "--vfs-read-chunk-streams", "16", "--vfs-read-chunk-size", "4M")
"""What rclone is told where it is to be quick: a cache on disk, and 16 parts of a file at once."""


@dataclass(slots=True)
class Mount:
    """A mount. ``ready`` is how many seconds passed until its root could be listed.

    One of ours ``speaks``: it can be asked what it has done, and ``last`` is what it had done when it ended.
    """

    place: Path
    daemon: Daemon
    speaks: bool
    ready: float = 0
    last: Counted | None = None

    def cpu(self) -> float:
        """Seconds of CPU that its process has taken so far."""
        return child.cpu(self.daemon.pid)

    def memory(self) -> tuple[int, int]:
        """(bytes resident now, their peak so far)."""
        return child.memory(self.daemon.pid)

    def counted(self) -> Counted | None:
        """What it has done so far, if it is one that says so."""
        if not self.speaks:
            return None
        before = len(self.said())
        os.kill(self.daemon.pid, signal.SIGUSR1)
        deadline = time.monotonic() + GRACE
        while len(said := self.said()) == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the mount does not say what it has done: {self.daemon.log_tail()}")
            time.sleep(0.01)
        return said[-1]

    def said(self) -> list[Counted]:
        """All that its log says of what it has done."""
        return counted(self.daemon.log_path.read_text())


def configuration(path: Path, endpoint: str, credentials: Credentials, index_path: Path) -> Path:
    """Write a configuration for mounts."""
    keys = {"s3_access_key": credentials.access_key, "s3_secret_key": credentials.secret_key}
    path.touch(mode=0o600)
    path.write_text(json.dumps({"s3_endpoint_url": endpoint, **keys, "index_path": str(index_path)}))
    return path


@contextmanager
def rwmfs(config: Path, bucket: str, at: str, cache: Path, *options: str) -> Iterator[Mount]:
    """Ours, with its defaults but for where the cache on disk is, and for ``options``."""
    command = [*child.python("rwmfs", "-c", str(config)), "mount", bucket, "--at", at, "--cache-dir", str(cache)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("RWM_")}
    with _mounted([*command, *options, "--foreground"], own, speaks=True) as mount:
        yield mount


@contextmanager
def rclone(endpoint: str, credentials: Credentials, bucket: str, at: str, *options: str) -> Iterator[Mount]:
    """rclone's, as the bucket was at a time, with its defaults but for ``options``. Its cache starts empty."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-rclone-") as cache:
        where = f"{peers.RCLONE_REMOTE}:{bucket}"
        command = [peers.rclone_program(), "mount", where, "--s3-version-at", at, "--cache-dir", cache, *options]
        with _mounted(command, peers.rclone_environment(endpoint, credentials), speaks=False) as mount:
            yield mount


@contextmanager
def _mounted(command: Sequence[str], env: Mapping[str, str], *, speaks: bool) -> Iterator[Mount]:
    """Run a command that mounts and stays, with the mountpoint as one more argument."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-mount-") as name:
        place = Path(name) / "mnt"
        place.mkdir()
        started = time.perf_counter()
        with process.spawn([*command, str(place)], env=env, log_path=Path(name) / "log") as daemon:
            mount = Mount(place, daemon, speaks)
            try:
                _wait_until_usable(place, daemon, started)
                mount.ready = time.perf_counter() - started
                yield mount
            finally:
                daemon.stop(GRACE)
                mount.last = next(reversed(mount.said()), None)
                # Only one that had to be killed is still there.
                subprocess.run(["fusermount3", "-u", "-z", "-q", place], check=False, capture_output=True)


def _wait_until_usable(place: Path, daemon: Daemon, started: float) -> None:
    while not (os.path.ismount(place) and any(place.iterdir())):
        if not daemon.running() or time.perf_counter() - started > READY:
            raise RuntimeError(f"{daemon.name} does not mount: {daemon.log_tail()}")
        time.sleep(0.01)


class Looked(NamedTuple):
    """Seconds until the mount was ready; files that ``ls -lR`` showed and its seconds; bytes resident then."""

    ready: float
    files: int
    listing: float
    resident: int


def look(index_path: Path, endpoint: str, bucket: str, at: str, directory: Path) -> Looked:
    """Mount the state in a process of its own, and look at a few directories of packs."""
    config = configuration(directory / "bench.conf", endpoint, Credentials(*KEYS), index_path)
    with rwmfs(config, bucket, at, directory / "cache") as mount:
        shown = child.run(["ls", "-lR", *map(str, sorted((mount.place / "data").iterdir())[:DIRECTORIES])])
        resident, _ = mount.memory()
    files = sum(line.startswith("-") for line in shown.output.splitlines())
    return Looked(mount.ready, files, shown.wall, resident)
