"""A recorded state on a real S3 server, mounted through a proxy that injects faults."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.proxy import Action, Proxy, Rule, matching
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3
from rwm.states.capture import capture_state
from rwmfs.mount.mountpoint import mounted_at
from tests import programs
from tests.contract.buckets import at_once, versioned
from tests.mount.conftest import REPOSITORY, SECONDS, wait_until
from tests.servers import Server

LONG = 300.0
"""A fetch timeout that no test reaches."""


def content(size: int, seed: int) -> bytes:
    """Bytes that are the same each time."""
    return random.Random(seed).randbytes(size)


def named(directory: str, data: bytes) -> str:
    """The key that restic would give to a file: its name is the hash of the content."""
    name = hashlib.sha256(data).hexdigest()
    return f"data/{name[:2]}/{name}" if directory == "data" else f"{directory}/{name}"


class Recorded:
    """A bucket with some files, and a recorded state of them. ``directory`` is private to it."""

    def __init__(self, server: Server, directory: Path, files: dict[str, bytes]) -> None:
        self.server = server
        self.s3: S3 = server.connect("admin")
        self.bucket = versioned(self.s3, "trouble")
        self.files = files
        self.directory = directory
        self.index = directory / "index.sqlite"
        at_once(lambda item: self.s3.put(self.bucket, *item), files.items())
        with Index.open(self.index) as index:
            self.state = capture_state(self.s3, index, Location(self.bucket)).id

    def version(self, key: str) -> str:
        """The version of a key in the state."""
        with Index.open(self.index, readonly=True) as index:
            return next(e.version_id for e in index.entries(index.resolve(self.state)) if e.key == key)


class Mounted:
    """`rwmfs mount -f` of a recorded state through a proxy."""

    def __init__(self, recorded: Recorded, proxy: Proxy, path: Path, process: programs.Program, log: Path) -> None:
        self.recorded = recorded
        self.proxy = proxy
        self.path = path
        self.process = process
        self._log = log

    def fault(self, key: str, action: Action, count: int | None = None) -> None:
        """Apply a fault to the next ``count`` requests for a key, or to all until ``proxy.clear``."""
        self.proxy.add(Rule(action, matching("GET", f"^/{self.recorded.bucket}/{key}$"), count))

    def read(self, key: str) -> bytes:
        """All of a file, as cat reads it; raises OSError."""
        parts = []
        with (self.path / key).open("rb", buffering=0) as file:
            while part := file.read(128 * 1024):
                parts.append(part)
        return b"".join(parts)

    def errors(self) -> list[str]:
        """The messages of errors in the log."""
        lines = self._log.read_text().splitlines()
        assert not any("Traceback" in line for line in lines), lines
        return [line.partition(": ")[2] for line in lines if " ERROR " in line]

    def logged(self) -> str:
        """The log so far."""
        return self._log.read_text()


@contextlib.contextmanager
def mounted(
    recorded: Recorded,
    proxy: Proxy,
    directory: Path,
    *options: str,
    read_timeout: float = 1.0,
    fetch_timeout: float = LONG,
    keys: tuple[str, str] | None = None,
) -> Iterator[Mounted]:
    """A mount for the block, which must end with exit code 0."""
    path, log, config = directory / "mnt", directory / "log", directory / "rwm.conf"
    path.mkdir(exist_ok=True)
    access_key, secret_key = keys or recorded.server.accounts["admin"][:2]
    config.touch(mode=0o600)
    config.write_text(
        f"s3_endpoint_url: {proxy.url}\ns3_access_key: {access_key}\ns3_secret_key: {secret_key}\n"
        f"index_path: {recorded.index}\n"
    )
    words = ["-c", config, "mount", "-f", recorded.bucket, path, "--at", recorded.state, "--log-file", log]
    command = ["short-timeouts", str(read_timeout), str(fetch_timeout), *map(str, words)]
    if not any(option.startswith("--cache") for option in options):
        options += ("--cache-size", "0")
    output = directory / "output"
    with output.open("w") as file:
        process = programs.Program([*command, *options], cwd=REPOSITORY, env=os.environ, stdout=file, stderr=file)
    try:
        wait_until(lambda: process.poll() is not None or "is at" in output.read_text(), "the mount")
        assert process.poll() is None, output.read_text()
        yield Mounted(recorded, proxy, path, process, log)
        process.terminate()
        assert process.wait(SECONDS) == 0, output.read_text()
        assert mounted_at(path) is None
        assert "Traceback" not in output.read_text()
    finally:
        process.kill()
        process.wait(SECONDS)
        subprocess.run(["fusermount3", "-uzq", path], check=False, stderr=subprocess.DEVNULL)


def below(directory: Path) -> Iterable[Path]:
    """The files in a directory and those below it."""
    return (path for path in directory.rglob("*") if path.is_file())
