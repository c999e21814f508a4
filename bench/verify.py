"""Reading and hashing all content of a state, beside plain parallel GETs, and SHA-256 alone."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bench.clock import cpu_of, wall_of
from bench.content_server import VERSION, content_server
from bench.network import LINKS, open_link
from bench.options import Options
from bench.processes import cpu_seconds
from bench.table import MIB, median, ratio, show
from rwm import process
from rwm.config import Credentials, S3Settings
from rwm.index import Index
from rwm.model import Entry, ObjectVersion, StateInfo
from rwm.s3 import S3, connect
from rwm.verify import CONNECTIONS, ContentRun, VerifyReport, read_content

PACK = 16 * MIB
"""Bytes of a pack: restic's default."""

BUCKET = "bucket1"
_SLOW = 8  # a slow link gets this part of the bytes
HASHLIB = "SHA-256 alone, hashlib, one core"
OPENSSL = "SHA-256 alone, openssl, one core"
PLAIN = f"plain GETs, {CONNECTIONS} connections"
VERIFY = f"state verify --content, {CONNECTIONS} connections"
HEADERS = ("", "MB/s", "ratio", "CPU s for each GB", "SHA-256's part", "server's CPU s for each GB")


class Speed(NamedTuple):
    """``rate`` in bytes per second; ``cpu`` seconds of this process and of the ``server`` for each byte."""

    rate: float
    cpu: float
    server: float = 0.0


def main(options: Options) -> None:
    """Measure over each link."""
    content = os.urandom(PACK)
    with content_server(content) as server, tempfile.TemporaryDirectory(prefix="rwm-bench-") as name:
        pack = Path(name) / "pack"
        pack.write_bytes(content)
        for link in LINKS:
            count = max(CONNECTIONS, options.size * MIB // PACK // (1 if link.is_plain else _SLOW))
            rounds = options.rounds if link.is_plain else options.slow_rounds
            with (
                open_link(link, server.url) as endpoint,
                _State(endpoint.endpoint, content, count, Path(name)) as state,
            ):
                peers: dict[str, Callable[[], object]] = {
                    HASHLIB: lambda: [hashlib.sha256(content).digest() for _ in range(state.count)],
                    OPENSSL: lambda: process.run(["openssl", "dgst", "-sha256", *[str(pack)] * state.count]),
                    PLAIN: state.get_all,
                    VERIFY: state.verify,
                }
                speeds = measure(peers, count * PACK, rounds, lambda: cpu_seconds(server.pid))
            title = f"{count} packs of {PACK // MIB} MiB, {link.name}, median of {rounds}"
            notes = (
                "ratio: to the slower one of hashlib and plain GETs; server and client share this computer's cores",
                "SHA-256's part of the CPU: the ratio to hashlib where the server does not use the client's cores",
            )
            show(title, HEADERS, rows(speeds), *notes)


def measure(
    peers: dict[str, Callable[[], object]], size: int, rounds: int, server_cpu: Callable[[], float] = lambda: 0.0
) -> dict[str, Speed]:
    """Run the peers in turn, every second round in the opposite order. ``server_cpu`` is in seconds so far."""
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in peers}
    for number in range(rounds):
        for name in list(peers)[:: -1 if number % 2 else 1]:
            used = server_cpu()
            (_, cpu), wall = wall_of(lambda name=name: cpu_of(peers[name]))  # type: ignore[misc]
            seen[name].append((wall, cpu, server_cpu() - used))
    medians = {name: [median(column) for column in zip(*runs, strict=True)] for name, runs in seen.items()}
    return {name: Speed(size / wall, cpu / size, server / size) for name, (wall, cpu, server) in medians.items()}


def rows(speeds: dict[str, Speed]) -> Sequence[tuple[str, ...]]:
    """The cells of :data:`HEADERS`."""
    limit = min(speeds[HASHLIB].rate, speeds[PLAIN].rate)
    return [
        (name, f"{rate / 1e6:.0f}", ratio(rate, limit), *_cpu(name, cpu, server, speeds[HASHLIB].cpu))
        for name, (rate, cpu, server) in speeds.items()
    ]


def _cpu(name: str, cpu: float, server: float, hashing: float) -> tuple[str, str, str]:
    if name == OPENSSL:  # another process
        return "-", "-", "-"
    part = "-" if name == PLAIN else ratio(hashing, cpu)
    return f"{cpu * 1e9:.2f}", part, f"{server * 1e9:.2f}"


class _State:
    """A recorded state whose packs all have the server's content, below different prefixes."""

    def __init__(self, url: str, content: bytes, count: int, directory: Path) -> None:
        self.count = count
        name = hashlib.sha256(content).hexdigest()
        keys = sorted(f"repository{number}/data/{name[:2]}/{name}" for number in range(count))
        self.versions = [ObjectVersion(key, VERSION, True, False, PACK, "e", 0) for key in keys]
        self.info = StateInfo("0" * 64, BUCKET, 0, "capture", count, count * PACK)
        self.s3: S3 = connect(S3Settings(url, Credentials("key", "secret")))
        self.index = Index.open(directory / f"{count}" / "index.sqlite")
        self.index.record(self.info, [Entry(key, VERSION, PACK, "e", 0) for key in keys])

    def __enter__(self) -> _State:
        return self

    def __exit__(self, *_: object) -> None:
        self.index.close()

    def get_all(self) -> None:
        """Read each version, in pieces as a verification does, and drop it."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for _ in pool.map(lambda v: sum(map(len, self.s3.stream(BUCKET, v.key, VERSION))), self.versions):
                pass

    def verify(self) -> None:
        """What `rwm state verify --content --again` does after its listing."""
        with closing(self.index.listed_versions(self.info)) as listed:
            listed.add(self.versions)
            report = VerifyReport(self.info, "content", 0, lambda problem: None)
            unread = read_content(self.s3, self.index, listed, report, ContentRun(again=True))
        if unread.problems or report.checked != self.count:
            raise RuntimeError(f"{report.checked} of {self.count} versions were read: {unread.problems}")
