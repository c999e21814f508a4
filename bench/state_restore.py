"""``rwm state restore`` to a directory and to a bucket, beside s3-pit-restore and one request after another."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from bench import processes
from bench.mounts import write_configuration
from bench.network import Link, open_link
from bench.options import Options
from bench.programs import clean_environment
from bench.table import MIB, count, median, ratio, show
from rwm import process
from rwm.config import Credentials, S3Settings
from rwm.embedded import EmbeddedS3
from rwm.restore import THREADS
from rwm.s3 import S3, connect

LINK = Link("30 ms round trip, 12 MB/s for each connection", 0.03, 12e6)
BUCKET = "source"
SMALL = 4 << 10
PACK = 16 * MIB
_PUT_THREADS = 8
_SMALL_PART = 10  # of the objects listed from a real server, this part is restored

SERIAL = "one request after another, as the original tool"
PIT = "s3-pit-restore 0.9, 10 workers (its default)"
RWM = "rwm state restore"
_AS_MANY = ("--max-workers", str(THREADS))
PIT_WORKERS = f"s3-pit-restore 0.9, {THREADS} workers, as many as rwm"
HEADERS = ("", "s", "objects/s", "CPU s", "server's CPU s", "times as fast as serial", "as s3-pit-restore")


class Run(NamedTuple):
    """Seconds of wall time, and of CPU of the client and of the server."""

    wall: float
    cpu: float
    server: float = 0.0


@dataclass(frozen=True)
class Source:
    """A bucket with a recorded state, as seen over a link."""

    directory: Path
    endpoint: str
    admin: Credentials
    state: str
    objects: int
    bytes: int
    server: int
    """The process id of the server."""

    def connect(self) -> S3:
        """A client over the link."""
        return connect(S3Settings(self.endpoint, self.admin))

    def rwm(self, *arguments: str) -> processes.Usage:
        """Run rwm over the link."""
        config = self.directory / "link.conf"
        write_configuration(config, self.endpoint, self.admin, self.directory / "index" / "index.sqlite")
        return processes.run_measured(processes.python_command("rwm", "-c", str(config), *arguments), _environment())

    def pit(self, *arguments: str) -> processes.Usage:
        """Run s3-pit-restore over the link."""
        program = process.find_beside_python("s3-pit-restore") or process.find_program("s3-pit-restore")
        env = {
            "AWS_ACCESS_KEY_ID": self.admin.access_key,
            "AWS_SECRET_ACCESS_KEY": self.admin.secret_key,
            "AWS_DEFAULT_REGION": EmbeddedS3.region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CONFIG_FILE": os.devnull,
        }
        return processes.run_measured([program, "-b", BUCKET, *arguments], _environment() | env)


Peer = Callable[[Source, str], object]
"""Restores all of a source to a target: the name of a new directory or bucket."""


def main(options: Options) -> None:
    """Restore small objects and packs to a directory, and small objects to a bucket, over one link."""
    small = max(100, options.real // _SMALL_PART)
    packs = max(4, options.size * MIB // PACK)
    for objects, size in ((small, SMALL), (packs, PACK)):
        with _source(objects, size) as source:
            runs = _measure(source, DIRECTORY_PEERS, _check_directory, options.slow_rounds)
            _show(f"to a directory: {count(objects)} objects of {size >> 10} KiB", source, runs, options)
            if size == SMALL:
                runs = _measure(source, BUCKET_PEERS, _check_bucket, options.slow_rounds)
                _show(f"to a bucket: {count(objects)} objects of {size >> 10} KiB", source, runs, options)


@contextmanager
def _source(objects: int, size: int) -> Iterator[Source]:
    """A bucket with objects named as restic names packs, and its state."""
    with EmbeddedS3() as server, tempfile.TemporaryDirectory(prefix="rwm-bench-") as name:
        admin, directory = server.credentials["admin"], Path(name)
        s3 = server.connect()
        s3.create_bucket(BUCKET)
        s3.enable_versioning(BUCKET)
        with ThreadPoolExecutor(_PUT_THREADS) as pool:
            for _ in pool.map(lambda _: _put_pack(s3, size), range(objects)):
                pass
        local = Source(directory, server.endpoint, admin, "", objects, objects * size, server.pid)
        state = json.loads(local.rwm("state", "capture", BUCKET, "--json").output)
        with open_link(LINK, server.endpoint) as link:
            yield replace(local, endpoint=link.endpoint, state=state["id"])


def _put_pack(s3: S3, size: int) -> None:
    content = os.urandom(size)
    name = hashlib.sha256(content).hexdigest()
    s3.put(BUCKET, f"data/{name[:2]}/{name}", content)


def _measure(
    source: Source, peers: Mapping[str, Peer], check: Callable[[Source, str], None], rounds: int
) -> dict[str, Run]:
    """Run the peers in turn, each into a target of its own, and check what is there then."""
    runs: dict[str, list[Run]] = {label: [] for label in peers}
    for number in range(rounds):
        for position, (label, peer) in enumerate(peers.items()):
            target = f"target-{number}-{position}"
            server = processes.cpu_seconds(source.server)
            wall, cpu = time.perf_counter(), time.process_time()
            used = peer(source, target)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            server = processes.cpu_seconds(source.server) - server
            if isinstance(used, processes.Usage):
                wall, cpu = used.wall, used.cpu
            runs[label].append(Run(wall, cpu, server))
            check(source, target)
    return {label: Run(*(median(column) for column in zip(*seen, strict=True))) for label, seen in runs.items()}


# --- to a directory


def _serial_downloads(source: Source, target: str) -> None:
    s3 = source.connect()
    for version in s3.versions(BUCKET, "data/"):
        path = source.directory / target / version.key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(s3.stream(BUCKET, version.key, version.version_id))


def _pit_to_directory(source: Source, target: str) -> processes.Usage:
    return source.pit("-p", "data/", "-d", str(source.directory / target))


def _pit_workers_to_directory(source: Source, target: str) -> processes.Usage:
    return source.pit("-p", "data/", "-d", str(source.directory / target), *_AS_MANY)


def _rwm_to_directory(source: Source, target: str) -> processes.Usage:
    return source.rwm("state", "restore", source.state, "--to-dir", str(source.directory / target))


DIRECTORY_PEERS: Mapping[str, Peer] = {
    SERIAL: _serial_downloads,
    PIT: _pit_to_directory,
    PIT_WORKERS: _pit_workers_to_directory,
    RWM: _rwm_to_directory,
}


def _check_directory(source: Source, target: str) -> None:
    directory = source.directory / target
    sizes = [path.stat().st_size for path in directory.rglob("*") if path.is_file()]
    _check(target, source, len(sizes), sum(sizes))
    shutil.rmtree(directory)


# --- to a bucket


def _serial_copies(source: Source, target: str) -> None:
    s3 = _create(source, target)
    for version in s3.versions(BUCKET, "data/"):
        s3.copy(BUCKET, version.key, version.version_id, target, size=version.size)


def _pit_to_bucket(source: Source, target: str) -> processes.Usage:
    _create(source, target)
    return source.pit("-p", "data/", "-B", target)


def _pit_workers_to_bucket(source: Source, target: str) -> processes.Usage:
    _create(source, target)
    return source.pit("-p", "data/", "-B", target, *_AS_MANY)


def _rwm_to_bucket(source: Source, target: str) -> processes.Usage:
    return source.rwm("state", "restore", source.state, "--to-bucket", target)


BUCKET_PEERS: Mapping[str, Peer] = {
    SERIAL: _serial_copies,
    PIT: _pit_to_bucket,
    PIT_WORKERS: _pit_workers_to_bucket,
    RWM: _rwm_to_bucket,
}


def _create(source: Source, bucket: str) -> S3:
    s3 = source.connect()
    s3.create_bucket(bucket)
    s3.enable_versioning(bucket)
    return s3


def _check_bucket(source: Source, target: str) -> None:
    sizes = [version.size for version in source.connect().versions(target, "data/")]
    _check(target, source, len(sizes), sum(sizes))


def _check(target: str, source: Source, objects: int, size: int) -> None:
    if (objects, size) != (source.objects, source.bytes):
        raise RuntimeError(f"{target} has {objects} objects of {size} bytes, not {source.objects} of {source.bytes}")


def _environment() -> dict[str, str]:
    return {name: value for name, value in clean_environment().items() if not name.startswith("RWM_")}


def rows(objects: int, runs: Mapping[str, Run]) -> list[tuple[str, ...]]:
    """The cells of :data:`HEADERS`."""
    return [
        (
            label,
            f"{run.wall:.2f}",
            f"{objects / run.wall:.0f}",
            f"{run.cpu:.1f}",
            f"{run.server:.1f}",
            ratio(runs[SERIAL].wall, run.wall),
            ratio(runs[PIT].wall, run.wall),
        )
        for label, run in runs.items()
    ]


def _show(what: str, source: Source, runs: Mapping[str, Run], options: Options) -> None:
    title = f"restore {what}, SeaweedFS, {LINK.name}, median of {options.slow_rounds}"
    notes = (
        "programs with their start; rwm also hashes what it downloads, and lists and compares a bucket at the end",
        "client, server and the simulated link share this computer's cores: none can be faster than its CPU allows",
    )
    show(title, HEADERS, rows(source.objects, runs), *notes)
