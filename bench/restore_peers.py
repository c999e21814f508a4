"""The peers of the restore measurement: each does one restic task, and returns time, CPU, memory and traffic."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bench import mounts, restic_repository
from bench.mounts import Mount
from bench.network import LinkedEndpoint
from bench.restic_repository import Repository, Task
from bench.table import median
from rwm.demo.environment import BUCKET

LIVE_BUCKET = "restic on the live bucket"
COLD = "rwmfs, empty cache"
SAME_MOUNT = "rwmfs, again on the same mount"
WARM = "rwmfs, new mount, cache on disk"
EIGHT_CONNECTIONS = "rwmfs, empty cache, local.connections=8"
RCLONE = "rclone mount"
RCLONE_FAST = "rclone mount, full cache, 16 streams"
LOCAL_COPY = "restic on a copy on the disk"

DEFAULT_CACHE_SIZE = 4 << 30
"""Bytes: the default limit of the disk cache. A large repository gets twice its size, so that all of it fits."""


@dataclass(frozen=True, slots=True)
class Run:
    """The cost of a task. None where a figure is not known or does not apply.

    ``seconds`` of wall time and ``cpu`` seconds of restic; ``mount_cpu`` seconds and ``peak`` bytes of memory of the
    mount; ``fetched`` bytes in ``gets`` requests; ``wasted`` is the part (0 to 1) of all bytes that the mount fetched
    but nothing read.
    """

    seconds: float
    cpu: float
    mount_cpu: float | None = None
    peak: float | None = None
    fetched: float | None = None
    gets: float | None = None
    wasted: float | None = None


Runs = dict[str, Run]
Peer = Callable[["Environment", Task], Runs]
"""Does a task in one or more ways. Returns a run for each, by label."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What peers run on: a repository, and an endpoint of its server."""

    repository: Repository
    endpoint: LinkedEndpoint

    @property
    def cache(self) -> Path:
        """The disk cache of rwmfs."""
        return self.repository.directory / "cache"

    def rwmfs(self) -> AbstractContextManager[Mount]:
        """Mount the state with rwmfs."""
        repository = self.repository
        config = repository.directory / "bench.conf"
        url, admin = self.endpoint.endpoint, repository.accounts["admin"]
        mounts.write_configuration(config, url, admin, repository.index_path)
        size = max(DEFAULT_CACHE_SIZE, 2 * repository.size)
        return mounts.rwmfs(config, BUCKET, repository.state, self.cache, "--cache-size", str(size))

    def rclone(self, *options: str) -> AbstractContextManager[Mount]:
        """Mount the bucket of the same time with rclone."""
        url, admin = self.endpoint.endpoint, self.repository.accounts["admin"]
        return mounts.rclone(url, admin, BUCKET, self.repository.at, *options)


def live_bucket(environment: Environment, task: Task) -> Runs:
    """restic on the live bucket, without RWM."""
    return {LIVE_BUCKET: _run(environment, task, f"s3:{environment.endpoint.endpoint}/{BUCKET}")}


def local_copy(environment: Environment, task: Task) -> Runs:
    """restic on a local copy: a lower bound for all mounts."""
    return {LOCAL_COPY: _run(environment, task, str(environment.repository.local))}


def rwmfs_cold(environment: Environment, task: Task) -> Runs:
    """rwmfs with an empty cache."""
    return {COLD: _run_cold(environment, task)}


def rwmfs_eight_connections(environment: Environment, task: Task) -> Runs:
    """rwmfs with an empty cache, while restic reads eight files at once instead of two."""
    return {EIGHT_CONNECTIONS: _run_cold(environment, task, "-o", "local.connections=8")}


def rwmfs_cold_and_warm(environment: Environment, task: Task) -> Runs:
    """rwmfs with an empty cache, again on the same mount, and on a new mount with the disk cache of the first."""
    shutil.rmtree(environment.cache, ignore_errors=True)
    with environment.rwmfs() as mount:
        first = _run(environment, task, str(mount.path), mount)
        again = _run(environment, task, str(mount.path), mount)
    first = replace(first, wasted=_wasted(mount))
    with environment.rwmfs() as mount:
        warm = _run(environment, task, str(mount.path), mount)
    return {COLD: first, SAME_MOUNT: again, WARM: warm}


def rclone_default(environment: Environment, task: Task) -> Runs:
    """rclone mount with its default options."""
    return _run_rclone(environment, task, RCLONE)


def rclone_fast(environment: Environment, task: Task) -> Runs:
    """rclone mount with its fastest options."""
    return _run_rclone(environment, task, RCLONE_FAST, *mounts.RCLONE_FAST)


def _run_rclone(environment: Environment, task: Task, label: str, *options: str) -> Runs:
    with environment.rclone(*options) as mount:
        return {label: _run(environment, task, str(mount.path), mount)}


def _run_cold(environment: Environment, task: Task, *options: str) -> Run:
    shutil.rmtree(environment.cache, ignore_errors=True)
    with environment.rwmfs() as mount:
        run = _run(environment, task, str(mount.path), mount, *options)
    return replace(run, wasted=_wasted(mount))


def _wasted(ended: Mount) -> float | None:
    return ended.last.wasted / ended.last.fetched if ended.last and ended.last.fetched else None


def _run(environment: Environment, task: Task, repository: str, mount: Mount | None = None, *options: str) -> Run:
    """Do the task. The link counts the traffic, or the mount if the link does not."""
    before = mount.counters() if mount else None
    cpu = mount.cpu() if mount else 0.0
    environment.endpoint.reset_traffic()
    used = restic_repository.run_restic(environment.repository, repository, task, options)
    run = Run(used.wall, used.cpu)
    if mount is not None:
        run = replace(run, mount_cpu=mount.cpu() - cpu, peak=mount.memory()[1])
    if (traffic := environment.endpoint.get_traffic()) is not None:
        return replace(run, fetched=traffic.sent, gets=traffic.requests)
    if mount is not None and before is not None and (now := mount.counters()) is not None:
        difference = now.since(before)
        return replace(run, fetched=difference.fetched, gets=difference.requests)
    return run


def run_rounds(environment: Environment, task: Task, peers: Iterable[Peer], rounds: int) -> Runs:
    """The medians of several rounds, by label. Every second round runs the peers in reverse order."""
    runs_by_label: dict[str, list[Run]] = {}
    order = list(peers)
    for _ in range(rounds):
        for peer in order:
            for label, run in peer(environment, task).items():
                runs_by_label.setdefault(label, []).append(run)
        order.reverse()
    return {label: median_run(runs) for label, runs in runs_by_label.items()}


def median_run(runs: list[Run]) -> Run:
    """The median of each figure by itself; None if a run lacks it."""
    figures: dict[str, float | None] = {}
    for field in fields(Run):
        values = [getattr(run, field.name) for run in runs]
        figures[field.name] = None if None in values else median(values)
    return Run(**figures)  # type: ignore[arg-type]
