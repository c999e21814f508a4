"""Listing versions: CPU time of RWM's raw-body parser beside boto3, aws and rclone, on the same pages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bench import peers
from bench.options import Options
from bench.peers import Peer, Taken, Target
from bench.server import BUCKET, KEYS, serving
from bench.table import count, median, ratio, show
from rwm.embedded import EmbeddedS3
from rwm.s3 import S3, Credentials

IN_PROCESS: dict[str, Peer] = {"boto3 paginator": peers.boto3_paginator, "rwm": peers.rwm}
PROGRAMS: dict[str, Peer] = {"aws s3api list-object-versions": peers.aws, "rclone lsf --s3-versions -R": peers.rclone}
PEERS = IN_PROCESS | PROGRAMS
"""The first is the one that the others are a multiple of."""

HEADERS = ("", "CPU µs/version", "ratio", "keys/s", "ratio", "start-up CPU s")
PUT_THREADS = 8


def main(options: Options) -> None:
    """Prepared pages first, which take the server's own speed out, then a real server."""
    programs = f"aws is {peers.version(peers.aws_program())}, rclone is {peers.version(peers.rclone_program())}"
    with serving(options.versions) as url:
        target = Target(url, Credentials(*KEYS), BUCKET, "snapshots/none")
        where = f"{count(options.versions)} versions in pages of 1,000 from a server of prepared pages"
        _compare(f"listing, {where}, median of {options.rounds}", target, options, programs)
    with EmbeddedS3() as server:
        target = Target(server.endpoint, server.credentials["admin"], "bench", "data/none")
        fill(server.connect(), target.bucket, options.real)
        where = f"{count(options.real)} objects of 64 bytes in a versioned bucket of a real SeaweedFS"
        _compare(f"listing, {where}, median of {options.rounds}", target, options, programs)


def fill(s3: S3, bucket: str, objects: int) -> None:
    """A versioned bucket with so many small objects below ``data/``."""
    s3.create_bucket(bucket)
    s3.enable_versioning(bucket)
    with ThreadPoolExecutor(PUT_THREADS) as pool:
        keys = (f"data/{n % 256:02x}/{n:064x}" for n in range(objects))
        for _ in pool.map(lambda key: s3.put(bucket, key, key[-64:].encode()), keys):
            pass


def _compare(title: str, target: Target, options: Options, *notes: str) -> None:
    rounds: dict[str, list[Taken]] = {name: [] for name in PEERS}
    starts: dict[str, list[float]] = {name: [] for name in PEERS}
    for _ in range(options.rounds):
        for name, listed in PEERS.items():
            rounds[name].append(listed(target, ""))
            if name in PROGRAMS:
                starts[name].append(listed(target, target.few).cpu)
    figures = {name: _figures(rounds[name], starts[name]) for name in PEERS}
    base_cpu, base_speed, _ = next(iter(figures.values()))
    rows = [
        (
            f"{name}{'' if rounds[name][0].versions == most else f' (listed {count(rounds[name][0].versions)})'}",
            f"{cpu * 1e6:.1f}",
            ratio(cpu, base_cpu),
            count(speed),
            ratio(speed, base_speed),
            f"{start:.2f}" if start else "-",
        )
        for most in [max(taken[0].versions for taken in rounds.values())]
        for name, (cpu, speed, start) in figures.items()
    ]
    started = "CPU per version of a program is without its start-up (a listing of nothing); keys/s is with it"
    show(title, HEADERS, rows, started, *notes)


def _figures(rounds: list[Taken], starts: list[float]) -> tuple[float, float, float]:
    """(CPU seconds per version without the start, versions per second, CPU seconds of the start)."""
    start = median(starts) if starts else 0.0
    cpu = median([(taken.cpu - start) / taken.versions for taken in rounds])
    return cpu, median([taken.versions / taken.wall for taken in rounds]), start
