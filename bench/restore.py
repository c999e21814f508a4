"""What restic does through a mount beside restic straight on the live bucket and through rclone's mount."""

from __future__ import annotations

from collections.abc import Sequence

from bench import caches, peers, repository, runs
from bench.links import LINKS, laid
from bench.options import Options
from bench.runs import DIRECT, Ground, Peer, Run, Runs
from bench.table import mib, ratio, show
from rwm import process

RESTORING: Sequence[Peer] = (runs.direct, runs.each_way, runs.eight, runs.rclone, runs.tuned, runs.copied)
MOUNTS: Sequence[Peer] = (runs.direct, runs.cold, runs.rclone, runs.tuned)
"""Peers; the first is the one that the others are a multiple of."""

HEADERS = ("", "s", "ratio", "restic CPU s", "mount CPU s", "peak memory", "fetched", "GETs", "wasted")
NOTES = (
    "each restore was compared with what was backed up; restic makes no locks, and its cache starts empty",
    "peak memory is VmHWM of the mount's process since it began; wasted is what the kernel never asked it for",
    "restic on the live bucket reads what is there now: the same objects",
)


def main(options: Options) -> None:
    """A whole restore, one of a directory, a list of the snapshots and a check, over each link."""
    rclone = peers.version(peers.rclone_program())
    versions = f"{peers.version(process.find_program('restic'), 'version')}; {rclone}; {caches.note()}"
    with repository.made(options.size) as made:
        for link in LINKS:
            number = options.rounds if link.is_plain else options.slow_rounds
            where = f"SeaweedFS on loopback, {link.name}, median of {number}"
            with laid(link, made.endpoint) as line:
                ground = Ground(made, line)
                _restores(ground, f"restore of {mib(made.size)}, {where}", number, versions)
                _part(ground, where, number)
                _asking(ground, where, number)


def _restores(ground: Ground, title: str, number: int, versions: str) -> None:
    taken = runs.rounds(ground, ground.made.everything(), RESTORING, number)
    show(title, HEADERS, [row(label, run, taken[DIRECT]) for label, run in taken.items()], *NOTES, versions)


def _part(ground: Ground, where: str, number: int) -> None:
    name, task = ground.made.part()
    taken = runs.rounds(ground, task, MOUNTS, number)
    title = f"restore of {name} alone, {where}"
    show(title, HEADERS, [row(label, run, taken[DIRECT]) for label, run in taken.items()])


def _asking(ground: Ground, where: str, number: int) -> None:
    answers = {name: runs.rounds(ground, task, MOUNTS, number) for name, task in repository.ASKING.items()}
    headers = ["", *(column for name in answers for column in (f"{name} s", "ratio"))]
    rows = [
        [label, *(text for taken in answers.values() for text in seconds(taken, label))]
        for label in next(iter(answers.values()))
    ]
    show(f"restic snapshots and restic check, each on a new mount, {where}", headers, rows)


def seconds(taken: Runs, label: str) -> tuple[str, str]:
    """(seconds, as a multiple of the first peer's)."""
    return f"{taken[label].seconds:.2f}", ratio(taken[label].seconds, taken[DIRECT].seconds)


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
