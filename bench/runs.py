"""One task of restic, by each of the peers: what it takes, on the clock, of the CPU, of memory, and of the network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bench import mounting, repository
from bench.links import Line
from bench.mounting import Mount
from bench.repository import Made, Task
from bench.table import median
from rwm.demo.environment import BUCKET

DIRECT = "restic on the live bucket"
COLD = "rwmfs, empty cache"
AGAIN = "rwmfs, again on the same mount"
WARM = "rwmfs, new mount, cache on disk"
EIGHT = "rwmfs, empty cache, local.connections=8"
DEFAULTS = "rclone mount"
TUNED = "rclone mount, full cache, 16 streams"
LOCAL = "restic on a copy on the disk"

LEAST_CACHE = 4 << 30
"""Bytes: the limit of a cache on disk by default. A large repository gets twice its size, so that all of it fits."""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds on the clock, and of restic's CPU. Of the mount: seconds of its CPU, the peak of its memory in bytes.

    ``fetched`` bytes came in ``gets`` requests; ``wasted`` of all that the mount has fetched nobody has read, a part
    of 1. None is what nobody knows, or what there is none of.
    """

    seconds: float
    cpu: float
    mount_cpu: float | None = None
    peak: float | None = None
    fetched: float | None = None
    gets: float | None = None
    wasted: float | None = None


Runs = dict[str, Run]
Peer = Callable[["Ground", Task], Runs]
"""Does a task in one or more ways: a run for each, by its label. Those of one peer follow each other."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where peers run: a repository, and a line to its server."""

    made: Made
    line: Line

    @property
    def cache(self) -> Path:
        """Our cache on disk."""
        return self.made.directory / "cache"

    def rwmfs(self) -> AbstractContextManager[Mount]:
        """A mount of ours of the state."""
        made = self.made
        config = made.directory / "bench.conf"
        mounting.configuration(config, self.line.endpoint, made.accounts["admin"], made.index_path)
        room = max(LEAST_CACHE, 2 * made.size)
        return mounting.rwmfs(config, BUCKET, made.state, self.cache, "--cache-size", str(room))

    def rclone(self, *options: str) -> AbstractContextManager[Mount]:
        """A mount of rclone's of the same moment."""
        return mounting.rclone(self.line.endpoint, self.made.accounts["admin"], BUCKET, self.made.at, *options)


def direct(ground: Ground, task: Task) -> Runs:
    """restic as it is used without any of this."""
    return {DIRECT: _run(ground, task, f"s3:{ground.line.endpoint}/{BUCKET}")}


def copied(ground: Ground, task: Task) -> Runs:
    """restic on the repository's files: no mount can be quicker than that."""
    return {LOCAL: _run(ground, task, str(ground.made.local))}


def cold(ground: Ground, task: Task) -> Runs:
    """A mount of ours that has nothing yet."""
    return {COLD: _first(ground, task)}


def eight(ground: Ground, task: Task) -> Runs:
    """The same, while restic reads eight files at once instead of two."""
    return {EIGHT: _first(ground, task, "-o", "local.connections=8")}


def each_way(ground: Ground, task: Task) -> Runs:
    """A mount of ours that has nothing yet, the same once more, and a new mount that finds what the first one kept."""
    shutil.rmtree(ground.cache, ignore_errors=True)
    with ground.rwmfs() as mount:
        first = _run(ground, task, str(mount.place), mount)
        again = _run(ground, task, str(mount.place), mount)
    first = replace(first, wasted=_wasted(mount))
    with ground.rwmfs() as mount:
        warm = _run(ground, task, str(mount.place), mount)
    return {COLD: first, AGAIN: again, WARM: warm}


def rclone(ground: Ground, task: Task) -> Runs:
    """rclone's mount as it is by itself."""
    return _rclone(ground, task, DEFAULTS)


def tuned(ground: Ground, task: Task) -> Runs:
    """rclone's mount as it is quickest."""
    return _rclone(ground, task, TUNED, *mounting.TUNED)


def _rclone(ground: Ground, task: Task, label: str, *options: str) -> Runs:
    with ground.rclone(*options) as mount:
        return {label: _run(ground, task, str(mount.place), mount)}


def _first(ground: Ground, task: Task, *more: str) -> Run:
    shutil.rmtree(ground.cache, ignore_errors=True)
    with ground.rwmfs() as mount:
        run = _run(ground, task, str(mount.place), mount, *more)
    return replace(run, wasted=_wasted(mount))


def _wasted(ended: Mount) -> float | None:
    return ended.last.wasted / ended.last.fetched if ended.last and ended.last.fetched else None


def _run(ground: Ground, task: Task, where: str, mount: Mount | None = None, *more: str) -> Run:
    """Do the task. What came is counted by the line, or else by the mount itself."""
    before = mount.counted() if mount else None
    cpu = mount.cpu() if mount else 0.0
    ground.line.forget()
    used = repository.restic(ground.made, where, task, more)
    run = Run(used.wall, used.cpu)
    if mount is not None:
        run = replace(run, mount_cpu=mount.cpu() - cpu, peak=mount.memory()[1])
    if (total := ground.line.read()) is not None:
        return replace(run, fetched=total.sent, gets=total.requests)
    if mount is not None and before is not None and (now := mount.counted()) is not None:
        came = now.since(before)
        return replace(run, fetched=came.fetched, gets=came.requests)
    return run


def rounds(ground: Ground, task: Task, peers: Iterable[Peer], number: int) -> Runs:
    """The median of each figure, over so many rounds. Every second round goes through the peers backwards."""
    taken: dict[str, list[Run]] = {}
    order = list(peers)
    for _ in range(number):
        for peer in order:
            for label, run in peer(ground, task).items():
                taken.setdefault(label, []).append(run)
        order.reverse()
    return {label: middle(runs) for label, runs in taken.items()}


def middle(runs: list[Run]) -> Run:
    """The median of each figure by itself; None where one is not known of all."""
    figures: dict[str, float | None] = {}
    for field in fields(Run):
        values = [getattr(run, field.name) for run in runs]
        figures[field.name] = None if None in values else median(values)
    return Run(**figures)  # type: ignore[arg-type]
