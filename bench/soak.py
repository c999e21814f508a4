"""A soak test: a mount under load over a faulty network; all bytes must be right, and its process must not grow."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import processes
from bench.options import Options
from bench.proxy import proxy_process
from bench.soak_workload import Workload
from bench.table import MIB, mib
from rwm.demo.environment import BUCKET, command_environment, write_configurations
from rwm.demo.narrator import Narrator
from rwm.demo.sample_files import make_files
from rwm.embedded import EmbeddedS3
from rwm.errors import RwmError

SIZE = 500 * MIB
LATENCY = 0.02
MOUNT_OPTIONS = ["--buffer-size", "64M", "--cache-size", "128M", "--connections", "8"]
MINUTE = 60.0
SAMPLE_INTERVAL = 1.0
"""Seconds between two samples of the process."""

SAMPLES_PER_SIGUSR1 = 20
"""Every so many samples the mount is asked to log its counters."""

MEMORY_ALLOWANCE = 20 * MIB
COUNT_ALLOWANCE = 20


class ProcessSize(NamedTuple):
    """Resident bytes, open descriptors and threads of a process."""

    resident: int
    descriptors: int
    threads: int


def find_growth(sizes: Sequence[ProcessSize], base: int, window: int) -> list[str]:
    """What has grown, one text for each figure. Pure.

    Compares the maximum of the last ``window`` sizes with that of the ``window`` before ``base``. Growth is more than a
    tenth plus an allowance.
    """
    before, after = _maximum(sizes[max(0, base - window) : base]), _maximum(sizes[-window:])
    grown = []
    if after.resident > before.resident * 1.1 + MEMORY_ALLOWANCE:
        grown.append(f"memory has grown from {mib(before.resident)} to {mib(after.resident)}")
    for name in ("descriptors", "threads"):
        old, new = getattr(before, name), getattr(after, name)
        if new > old * 1.1 + COUNT_ALLOWANCE:
            grown.append(f"{name} have grown from {old} to {new}")
    return grown


def _maximum(sizes: Sequence[ProcessSize]) -> ProcessSize:
    return ProcessSize(*map(max, zip(*sizes, strict=True)))


def process_size(pid: int) -> ProcessSize:
    """The current size of a process."""
    process = Path(f"/proc/{pid}")
    return ProcessSize(
        processes.memory(pid)[0], len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))
    )


def main(options: Options) -> None:
    """Print the size of the mount's process each minute. Raises RwmError for wrong bytes, failures and growth."""
    with (
        tempfile.TemporaryDirectory(prefix="rwm-soak-") as name,
        EmbeddedS3() as server,
        proxy_process(server.endpoint, latency=LATENCY) as proxy,
    ):
        directory = Path(name)
        print(f"soak: making a repository of {mib(SIZE)}", flush=True)
        state = prepare(directory, server, proxy.url)
        with mounted(directory, state) as process:
            workload = Workload(directory, proxy)
            with workload.running():
                sizes = watch(process, options.minutes, workload)
            process.terminate()
            exit_code = process.wait(MINUTE)
        log = (directory / "rwmfs.log").read_text().splitlines()
        print(f"  {workload.summary()}\n  {log[-1] if log else 'no log'}", flush=True)
        minute = round(MINUTE / SAMPLE_INTERVAL)
        problems = [*workload.problems, *find_growth(sizes, round(min(2, options.minutes / 2) * minute), minute)]
        problems += [f"the mount ended with exit code {exit_code}"] if exit_code else []
        if problems:
            raise RwmError("; ".join(problems[:5]))
        print("  all bytes were right; memory, descriptors and threads did not grow\n", flush=True)


def prepare(directory: Path, server: EmbeddedS3, url: str) -> str:
    """Make a repository and its state, restored to ``expected``. Returns the id of the state.

    The configuration ``soak.conf`` uses the proxy at ``url``.
    """
    write_configurations(directory, server.endpoint, server.credentials)
    narrator = Narrator(directory, command_environment(directory))
    narrator.run_silently("rwm", "-c", "admin.conf", "storage", "create", BUCKET, "user1")
    make_files(directory / "data", SIZE)
    narrator.run_silently("rwm", "restic", "init")
    narrator.run_silently("rwm", "backup", "--all")
    state = str(
        json.loads(narrator.run_silently("rwm", "-c", "admin.conf", "state", "list", BUCKET, "--json"))[-1]["id"]
    )
    narrator.run_silently("rwm", "-c", "admin.conf", "state", "restore", state, "--to-dir", "expected")
    config = json.loads((directory / "admin.conf").read_text())
    (directory / "soak.conf").touch(mode=0o600)
    (directory / "soak.conf").write_text(json.dumps(config | {"s3_endpoint_url": url}))
    return state


@contextmanager
def mounted(directory: Path, state: str) -> Iterator[subprocess.Popen[str]]:
    """Mount the state at ``mnt`` and yield the process; both are ended afterwards."""
    mountpoint = directory / "mnt"
    mountpoint.mkdir()
    arguments = ["mount", "-f", BUCKET, "mnt", "--at", state, "--cache-dir", "cache", "--log-file", "rwmfs.log"]
    command = processes.python_command("rwmfs", "-c", "soak.conf", *arguments, *MOUNT_OPTIONS)
    environment = command_environment(directory)
    with (directory / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RwmError(f"the mount did not start: {(directory / 'errors').read_text().strip()}")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        while mountpoint.is_mount():
            subprocess.run(["fusermount3", "-uz", mountpoint], check=True)


def watch(process: subprocess.Popen[str], minutes: float, workload: Workload) -> list[ProcessSize]:
    """Sample the size of the process for ``minutes``, or until there is a problem."""
    sizes: list[ProcessSize] = []
    started = time.monotonic()
    for number in range(1, round(minutes * MINUTE / SAMPLE_INTERVAL) + 1):
        workload.failed.wait(max(0.0, started + number * SAMPLE_INTERVAL - time.monotonic()))
        if workload.failed.is_set() or process.poll() is not None:
            break
        sizes.append(process_size(process.pid))
        if number % SAMPLES_PER_SIGUSR1 == 0:
            process.send_signal(signal.SIGUSR1)
        if number % round(MINUTE / SAMPLE_INTERVAL) == 0:
            size = sizes[-1]
            print(
                f"  minute {number * SAMPLE_INTERVAL / MINUTE:.0f}: {mib(size.resident)} resident, {size.descriptors} "
                f"descriptors, {size.threads} threads; {workload.summary()}",
                flush=True,
            )
    return sizes
