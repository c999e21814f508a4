"""restic restore, snapshots and check: through rwmfs, on the live bucket, and through rclone's mount."""

from __future__ import annotations

from collections.abc import Sequence

from bench import kernel_caches, programs, restic_repository, restore_peers
from bench.network import LINKS, open_link
from bench.options import Options
from bench.restore_peers import LIVE_BUCKET, Environment, Peer, Run, Runs
from bench.table import mib, ratio, show
from rwm import process

RESTORE_PEERS: Sequence[Peer] = (
    restore_peers.live_bucket,
    restore_peers.rwmfs_cold_and_warm,
    restore_peers.rwmfs_eight_connections,
    restore_peers.rclone_default,
    restore_peers.rclone_fast,
    restore_peers.local_copy,
)
MOUNT_PEERS: Sequence[Peer] = (
    restore_peers.live_bucket,
    restore_peers.rwmfs_cold,
    restore_peers.rclone_default,
    restore_peers.rclone_fast,
)
"""Ratios are relative to the first peer."""

HEADERS = ("", "s", "ratio", "restic CPU s", "mount CPU s", "peak memory", "fetched", "GETs", "wasted")
NOTES = (
    "each restore was compared with the files backed up; restic makes no locks, and its cache is empty at the start",
    "peak memory is VmHWM of the mount's process since its start; wasted is what was fetched but not read",
    "restic on the live bucket reads its current objects: the same ones",
)


def main(options: Options) -> None:
    """Measure a full restore, a restore of one directory, snapshots and check, over each link."""
    restic = programs.program_version(process.find_program("restic"), "version")
    rclone = programs.program_version(programs.rclone_program())
    note = f"{restic}; {rclone}; {kernel_caches.note()}"
    with restic_repository.make_repository(options.size) as repository:
        for link in LINKS:
            rounds = options.rounds if link.is_plain else options.slow_rounds
            conditions = f"SeaweedFS on loopback, {link.name}, median of {rounds}"
            with open_link(link, repository.endpoint) as endpoint:
                environment = Environment(repository, endpoint)
                _full_restore(environment, f"restore of {mib(repository.size)}, {conditions}", rounds, note)
                _partial_restore(environment, conditions, rounds)
                _read_tasks(environment, conditions, rounds)


def _full_restore(environment: Environment, title: str, rounds: int, note: str) -> None:
    runs = restore_peers.run_rounds(environment, environment.repository.full_restore(), RESTORE_PEERS, rounds)
    show(title, HEADERS, [row(label, run, runs[LIVE_BUCKET]) for label, run in runs.items()], *NOTES, note)


def _partial_restore(environment: Environment, conditions: str, rounds: int) -> None:
    description, task = environment.repository.partial_restore()
    runs = restore_peers.run_rounds(environment, task, MOUNT_PEERS, rounds)
    title = f"restore of {description} alone, {conditions}"
    show(title, HEADERS, [row(label, run, runs[LIVE_BUCKET]) for label, run in runs.items()])


def _read_tasks(environment: Environment, conditions: str, rounds: int) -> None:
    runs_by_task = {
        name: restore_peers.run_rounds(environment, task, MOUNT_PEERS, rounds)
        for name, task in restic_repository.READ_TASKS.items()
    }
    headers = ["", *(column for name in runs_by_task for column in (f"{name} s", "ratio"))]
    rows = [
        [label, *(cell for runs in runs_by_task.values() for cell in seconds(runs, label))]
        for label in next(iter(runs_by_task.values()))
    ]
    show(f"restic snapshots and restic check, each on a new mount, {conditions}", headers, rows)


def seconds(runs: Runs, label: str) -> tuple[str, str]:
    """(seconds, ratio to the first peer)."""
    return f"{runs[label].seconds:.2f}", ratio(runs[label].seconds, runs[LIVE_BUCKET].seconds)


def row(label: str, run: Run, base: Run) -> tuple[str, ...]:
    """The cells of :data:`HEADERS`."""
    return (
        label,
        f"{run.seconds:.2f}",
        ratio(run.seconds, base.seconds),
        f"{run.cpu:.1f}",
        "-" if run.mount_cpu is None else f"{run.mount_cpu:.1f}",
        "-" if run.peak is None else mib(run.peak),
        "-" if run.fetched is None else mib(run.fetched),
        "-" if run.gets is None else f"{run.gets:.0f}",
        "-" if run.wasted is None else f"{run.wasted:.1%}",
    )
