"""Mounts of a past state by rwmfs and by rclone, with the CPU, memory and traffic of their processes."""

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

from bench import processes, programs
from bench.mount_log import MountCounters, parse_counters
from bench.page_server import KEYS
from rwm import process
from rwm.config import Credentials
from rwm.process import Daemon

DIRECTORIES = 4
STOP_TIMEOUT = 30.0
"""Seconds until the process of a mount must have ended, or have written its counters."""

READY_TIMEOUT = 120.0
"""Seconds until a mount must be usable."""

RCLONE_FAST = ("--vfs-cache-mode", "full", "--vfs-read-chunk-streams", "16", "--vfs-read-chunk-size", "4M")
"""The fastest options of rclone: a disk cache, and 16 parallel parts of a file."""


@dataclass(slots=True)
class Mount:
    """A mount. ``ready`` is the number of seconds until its root could be listed.

    rwmfs (``has_counters``) writes counters to its log; ``last`` has those at the end of the mount.
    """

    path: Path
    daemon: Daemon
    has_counters: bool
    ready: float = 0
    last: MountCounters | None = None

    def cpu(self) -> float:
        """Seconds of CPU that its process has used so far."""
        return processes.cpu_seconds(self.daemon.pid)

    def memory(self) -> tuple[int, int]:
        """(bytes resident now, their peak so far)."""
        return processes.memory(self.daemon.pid)

    def counters(self) -> MountCounters | None:
        """The counters so far, requested by SIGUSR1; None for rclone."""
        if not self.has_counters:
            return None
        before = len(self.logged_counters())
        os.kill(self.daemon.pid, signal.SIGUSR1)
        deadline = time.monotonic() + STOP_TIMEOUT
        while len(logged := self.logged_counters()) == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the mount does not write its counters: {self.daemon.log_tail()}")
            time.sleep(0.01)
        return logged[-1]

    def logged_counters(self) -> list[MountCounters]:
        """All counters in its log."""
        return parse_counters(self.daemon.log_path.read_text())


def write_configuration(path: Path, endpoint: str, credentials: Credentials, index_path: Path) -> Path:
    """Write a configuration for mounts to ``path``, and return that."""
    keys = {"s3_access_key": credentials.access_key, "s3_secret_key": credentials.secret_key}
    path.touch(mode=0o600)
    path.write_text(json.dumps({"s3_endpoint_url": endpoint, **keys, "index_path": str(index_path)}))
    return path


@contextmanager
def rwmfs(config: Path, bucket: str, at: str, cache: Path, *options: str) -> Iterator[Mount]:
    """Mount with rwmfs: defaults except for the directory of the disk cache and ``options``."""
    command = [
        *processes.python_command("rwmfs", "-c", str(config)),
        "mount",
        bucket,
        "--at",
        at,
        "--cache-dir",
        str(cache),
    ]
    env = {name: value for name, value in os.environ.items() if not name.startswith("RWM_")}
    with _mounted([*command, *options, "--foreground"], env, has_counters=True) as mount:
        yield mount


@contextmanager
def rclone(endpoint: str, credentials: Credentials, bucket: str, at: str, *options: str) -> Iterator[Mount]:
    """Mount the bucket of a past time with rclone: defaults except for ``options``, and an empty cache."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-rclone-") as cache:
        where = f"{programs.RCLONE_REMOTE}:{bucket}"
        command = [programs.rclone_program(), "mount", where, "--s3-version-at", at, "--cache-dir", cache, *options]
        with _mounted(command, programs.rclone_environment(endpoint, credentials), has_counters=False) as mount:
            yield mount


@contextmanager
def _mounted(command: Sequence[str], env: Mapping[str, str], *, has_counters: bool) -> Iterator[Mount]:
    """Run a command that mounts in the foreground; the mountpoint is appended to it."""
    with tempfile.TemporaryDirectory(prefix="rwm-bench-mount-") as name:
        path = Path(name) / "mnt"
        path.mkdir()
        started = time.perf_counter()
        with process.spawn([*command, str(path)], env=env, log_path=Path(name) / "log") as daemon:
            mount = Mount(path, daemon, has_counters)
            try:
                _wait_until_usable(path, daemon, started)
                mount.ready = time.perf_counter() - started
                yield mount
            finally:
                daemon.stop(STOP_TIMEOUT)
                mount.last = next(reversed(mount.logged_counters()), None)
                # Still mounted only if the process had to be killed.
                subprocess.run(["fusermount3", "-u", "-z", "-q", path], check=False, capture_output=True)


def _wait_until_usable(path: Path, daemon: Daemon, started: float) -> None:
    while not (os.path.ismount(path) and any(path.iterdir())):
        if not daemon.running() or time.perf_counter() - started > READY_TIMEOUT:
            raise RuntimeError(f"{daemon.name} does not mount: {daemon.log_tail()}")
        time.sleep(0.01)


class BrowseCosts(NamedTuple):
    """Seconds until the mount was ready; number of files and seconds of ``ls -lR``; resident bytes after it."""

    ready: float
    files: int
    listing: float
    resident: int


def measure_browsing(index_path: Path, endpoint: str, bucket: str, at: str, directory: Path) -> BrowseCosts:
    """Mount the state with rwmfs, and list a few directories of packs."""
    config = write_configuration(directory / "bench.conf", endpoint, Credentials(*KEYS), index_path)
    with rwmfs(config, bucket, at, directory / "cache") as mount:
        listing = processes.run_measured(
            ["ls", "-lR", *map(str, sorted((mount.path / "data").iterdir())[:DIRECTORIES])]
        )
        resident, _ = mount.memory()
    files = sum(line.startswith("-") for line in listing.output.splitlines())
    return BrowseCosts(mount.ready, files, listing.wall, resident)
