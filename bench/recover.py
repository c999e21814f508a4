"""The parts of ``rwm recover`` on an empty computer, beside the listing alone: audit, comparison, capture, mount."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path

from bench.clock import cpu_of, wall_of
from bench.options import Options
from bench.page_server import BUCKET, KEYS, serve_pages
from bench.table import count, ratio, show
from rwm import process
from rwm.config import Credentials, S3Settings, load_config
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.recover import mount_state
from rwm.s3 import S3, connect
from rwm.s3.listing import Lister, RecordedLister
from rwm.states import KeptListing, capture_state, compare_with_history
from rwm.times import parse_time
from rwm.trust import audit_location

HERE = Location(BUCKET)
_AT = parse_time("2026-10-29")
"""After all that the server lists."""


def main(options: Options) -> None:
    """Measure each part once: none is repeated on the worst day either."""
    with serve_pages(options.objects) as url, tempfile.TemporaryDirectory(prefix="rwm-bench-") as name:
        s3 = connect(S3Settings(url, Credentials(*KEYS)))
        (listed, listing), listing_wall = wall_of(lambda: cpu_of(lambda: _list(s3)))
        index = Path(name) / "index.sqlite"
        with closing(RecordedLister(s3)) as lister:
            (_, auditing), audit_wall = wall_of(lambda: cpu_of(lambda: audit_location(s3, HERE, lister=lister)))
            (info, capturing), capture_wall = wall_of(lambda: cpu_of(lambda: _capture(s3, index, lister)))
            (_, comparing), compare_wall = wall_of(lambda: cpu_of(lambda: _compare(s3, index, info, lister)))
        mount_wall = _mount(url, Path(name), info)
    rows = [
        ("the listing alone", listing, listing_wall),
        ("audit, with the only listing, which is kept", auditing, audit_wall),
        ("comparison of a state with the kept listing", comparing, compare_wall),
        ("capture from the kept listing", capturing, capture_wall),
        ("mount", None, mount_wall),
    ]
    show(
        f"recover on an empty computer: {count(listed)} objects",
        ("", "seconds", "ratio", "CPU s", "ratio"),
        [
            (title, f"{wall:.1f}", ratio(wall, listing_wall), *(("-", "-") if cpu is None else _cpu(cpu, listing)))
            for title, cpu, wall in rows
        ],
        "prepared pages from this computer, one round; a state is captured only if no recorded one is clean",
        "CPU of this process, without the server's",
    )


def _cpu(cpu: float, listing: float) -> tuple[str, str]:
    return f"{cpu:.1f}", ratio(cpu, listing)


def _list(s3: S3) -> int:
    """How many versions a plain listing by one connection has, each page parsed."""
    return sum(len(page) for page in s3.version_batches(BUCKET))


def _capture(s3: S3, path: Path, lister: Lister) -> StateInfo:
    with Index.open(path) as index:
        return capture_state(s3, index, HERE, at=_AT, origin="past", concurrency=1, lister=lister)


def _compare(s3: S3, path: Path, info: StateInfo, lister: Lister) -> None:
    with Index.open(path) as index:
        compare_with_history(s3, index, HERE, [], kept=KeptListing(lister, {info.id}))


def _mount(url: str, directory: Path, info: StateInfo) -> float:
    """Seconds until the mount is ready."""
    path = directory / "rwm.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"s3_endpoint_url: {url}\ns3_access_key: {KEYS[0]}\ns3_secret_key: {KEYS[1]}\n"
        f"index_path: {directory}/index.sqlite\ncache_dir: {directory}/cache\nlog_path: {directory}/log\n"
    )
    config, mountpoint = load_config(path), directory / "mnt"
    _, wall = wall_of(lambda: mount_state(config, info, HERE, mountpoint))
    program = process.find_beside_python("rwmfs") or process.find_program("rwmfs")
    process.run([program, "umount", str(mountpoint)], env=os.environ)
    return wall
