"""CPU time of listing versions: RWM beside boto3, aws and rclone, on the same pages."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bench import listers, programs
from bench.listers import Lister, ListingCosts, Target
from bench.options import Options
from bench.page_server import BUCKET, KEYS, serve_pages
from bench.table import count, median, ratio, show
from rwm.config import Credentials
from rwm.embedded import EmbeddedS3
from rwm.s3 import S3

IN_PROCESS: dict[str, Lister] = {"boto3 paginator": listers.boto3_paginator, "rwm": listers.rwm}
PROGRAMS: dict[str, Lister] = {
    "aws s3api list-object-versions": listers.aws,
    "rclone lsf --s3-versions -R": listers.rclone,
}
LISTERS = IN_PROCESS | PROGRAMS
"""By label. Ratios are relative to the first."""

HEADERS = ("", "CPU µs/version", "ratio", "keys/s", "ratio", "start-up CPU s")
PUT_THREADS = 8


def main(options: Options) -> None:
    """List prepared pages first, which excludes the speed of a server, then a real server."""
    aws = programs.program_version(programs.aws_program())
    rclone = programs.program_version(programs.rclone_program())
    versions = f"aws is {aws}, rclone is {rclone}"
    with serve_pages(options.versions) as url:
        target = Target(url, Credentials(*KEYS), BUCKET, "snapshots/none")
        where = f"{count(options.versions)} versions in pages of 1,000 from a server of prepared pages"
        _compare(f"listing, {where}, median of {options.rounds}", target, options, versions)
    with EmbeddedS3() as server:
        target = Target(server.endpoint, server.credentials["admin"], "bench", "data/none")
        fill(server.connect(), target.bucket, options.real)
        where = f"{count(options.real)} objects of 64 bytes in a versioned bucket of a real SeaweedFS"
        _compare(f"listing, {where}, median of {options.rounds}", target, options, versions)


def fill(s3: S3, bucket: str, objects: int) -> None:
    """Create a versioned bucket with ``objects`` small objects below ``data/``."""
    s3.create_bucket(bucket)
    s3.enable_versioning(bucket)
    with ThreadPoolExecutor(PUT_THREADS) as pool:
        keys = (f"data/{n % 256:02x}/{n:064x}" for n in range(objects))
        for _ in pool.map(lambda key: s3.put(bucket, key, key[-64:].encode()), keys):
            pass


def _compare(title: str, target: Target, options: Options, *notes: str) -> None:
    rounds: dict[str, list[ListingCosts]] = {name: [] for name in LISTERS}
    starts: dict[str, list[float]] = {name: [] for name in LISTERS}
    for _ in range(options.rounds):
        for name, list_versions in LISTERS.items():
            rounds[name].append(list_versions(target, ""))
            if name in PROGRAMS:
                starts[name].append(list_versions(target, target.few).cpu)
    figures = {name: _figures(rounds[name], starts[name]) for name in LISTERS}
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
        for most in [max(costs[0].versions for costs in rounds.values())]
        for name, (cpu, speed, start) in figures.items()
    ]
    start_note = "CPU per version of a program excludes its start-up (an empty listing); keys/s includes it"
    show(title, HEADERS, rows, start_note, *notes)


def _figures(rounds: list[ListingCosts], starts: list[float]) -> tuple[float, float, float]:
    """Medians: (CPU seconds per version without start-up, versions per second, CPU seconds of the start-up)."""
    start = median(starts) if starts else 0.0
    cpu = median([(costs.cpu - start) / costs.versions for costs in rounds])
    return cpu, median([costs.versions / costs.wall for costs in rounds]), start
