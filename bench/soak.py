"""A mount in use for minutes on end over a bad network: whether every byte stays right, and its process no larger."""

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

from bench import child
from bench.options import Options
from bench.proxy import in_process
from bench.soakuse import Use
from bench.table import MIB, mib
from rwm.demo.environment import BUCKET, command_environment, write_configurations
from rwm.demo.narrator import Narrator
from rwm.demo.sample_files import make_files
from rwm.embedded import EmbeddedS3
from rwm.errors import RwmError

SIZE = 500 * MIB
LATENCY = 0.02
MOUNT = ["--buffer-size", "64M", "--cache-size", "128M", "--connections", "8"]
MINUTE = 60.0
SAMPLE = 1.0
"""Seconds between two looks at the process."""

QUESTION = 20
"""Samples between two SIGUSR1."""

ALLOWED = 20 * MIB
ALLOWED_NUMBER = 20


class Size(NamedTuple):
    """Of the mount's process: bytes resident, open descriptors, threads."""

    resident: int
    descriptors: int
    threads: int


def growth(sizes: Sequence[Size], base: int, window: int) -> list[str]:
    """What has grown, a line each: the largest of the last ``window`` sizes beside that of the ``window`` up to
    ``base``, more than a tenth and an allowance larger. Pure.
    """
    before, after = _largest(sizes[max(0, base - window) : base]), _largest(sizes[-window:])
    grown = []
    if after.resident > before.resident * 1.1 + ALLOWED:
        grown.append(f"memory has grown from {mib(before.resident)} to {mib(after.resident)}")
    for name in ("descriptors", "threads"):
        one, other = getattr(before, name), getattr(after, name)
        if other > one * 1.1 + ALLOWED_NUMBER:
            grown.append(f"{name} have grown from {one} to {other}")
    return grown


def _largest(sizes: Sequence[Size]) -> Size:
    return Size(*map(max, zip(*sizes, strict=True)))


def look(pid: int) -> Size:
    """How large a process is now."""
    process = Path(f"/proc/{pid}")
    return Size(child.memory(pid)[0], len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())))


def main(options: Options) -> None:
    """Print the size of the mount's process each minute; raises RwmError when something was wrong or has grown."""
    with (
        tempfile.TemporaryDirectory(prefix="rwm-soak-") as name,
        EmbeddedS3() as server,
        in_process(server.endpoint, latency=LATENCY) as proxy,
    ):
        directory = Path(name)
        print(f"soak: a repository of {mib(SIZE)} is made", flush=True)
        state = prepare(directory, server, proxy.url)
        with mounted(directory, state) as process:
            use = Use(directory, proxy)
            with use.going_on():
                sizes = watch(process, options.minutes, use)
            process.terminate()
            ended = process.wait(MINUTE)
        log = (directory / "rwmfs.log").read_text().splitlines()
        print(f"  {use.summary()}\n  {log[-1] if log else 'no log'}", flush=True)
        minute = round(MINUTE / SAMPLE)
        found = [*use.problems, *growth(sizes, round(min(2, options.minutes / 2) * minute), minute)]
        found += [f"the mount ended with {ended}"] if ended else []
        if found:
            raise RwmError("; ".join(found[:5]))
        print("  every byte was right; memory, descriptors and threads are flat\n", flush=True)


def prepare(directory: Path, server: EmbeddedS3, url: str) -> str:
    """A repository in a bucket, its state, and that as plain files in ``truth``; the state's id.

    The configuration ``soak.conf`` goes by the proxy at ``url``.
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
    narrator.run_silently("rwm", "-c", "admin.conf", "state", "restore", state, "--to-dir", "truth")
    config = json.loads((directory / "admin.conf").read_text())
    (directory / "soak.conf").touch(mode=0o600)
    (directory / "soak.conf").write_text(json.dumps(config | {"s3_endpoint_url": url}))
    return state


@contextmanager
def mounted(directory: Path, state: str) -> Iterator[subprocess.Popen[str]]:
    """The process of a mount at ``mnt``. It is gone at the end, and the mount too."""
    place = directory / "mnt"
    place.mkdir()
    what = ["mount", "-f", BUCKET, "mnt", "--at", state, "--cache-dir", "cache", "--log-file", "rwmfs.log"]
    command = child.python("rwmfs", "-c", "soak.conf", *what, *MOUNT)
    environment = command_environment(directory)
    with (directory / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RwmError(f"no mount: {(directory / 'errors').read_text().strip()}")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        while place.is_mount():
            subprocess.run(["fusermount3", "-uz", place], check=True)


def watch(process: subprocess.Popen[str], minutes: float, use: Use) -> list[Size]:
    """The sizes of the process, one each SAMPLE, for so long or until something is wrong."""
    sizes: list[Size] = []
    begun = time.monotonic()
    for number in range(1, round(minutes * MINUTE / SAMPLE) + 1):
        use.wrong.wait(max(0.0, begun + number * SAMPLE - time.monotonic()))
        if use.wrong.is_set() or process.poll() is not None:
            break
        sizes.append(look(process.pid))
        if number % QUESTION == 0:
            process.send_signal(signal.SIGUSR1)
        if number % round(MINUTE / SAMPLE) == 0:
            size = sizes[-1]
            print(
                f"  minute {number * SAMPLE / MINUTE:.0f}: {mib(size.resident)} resident, {size.descriptors} "
                f"descriptors, {size.threads} threads; {use.summary()}",
                flush=True,
            )
    return sizes
