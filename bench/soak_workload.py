"""The load of a soak test: sequential and random readers, restic, and network faults.

Every byte read from the mount is compared with the restored file.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.proxy import Action, Close, RemoteProxy, Reset, Rule, Shorten, Stall, Status, WrongVersion, matching
from bench.table import MIB, mib
from rwm.demo.environment import RESTIC_PASSWORD, command_environment

READERS = 4
"""Half of them read at random, the others sequentially."""

FAULTS: tuple[Action, ...] = (
    Status(503, "SlowDown"),
    Status(500, "InternalError"),
    Reset(),
    Reset(100_000),
    Close(),
    Close(300_000),
    Shorten(1),
    Stall(seconds=2.0),
    Stall(50_000, seconds=1.0),
    WrongVersion("other"),
)
FAULTS_PER_SECOND = 3

READ_SIZES = (1, 4096, 1 << 16, 1 << 18, MIB)


class Workload:
    """The load on the mount at ``mnt`` in the directory, whose expected content is in ``expected``.

    ``problems`` are texts; ``failed`` is set with the first one.
    """

    def __init__(self, directory: Path, proxy: RemoteProxy) -> None:
        self.problems: list[str] = []
        self.failed = threading.Event()
        self._directory = directory
        self._proxy = proxy
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._compared = self._failed_reads = self._restic_runs = 0
        expected = directory / "expected"
        self._files = [path.relative_to(expected) for path in sorted(expected.rglob("*")) if path.is_file()]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the load in threads during the block."""
        tasks = [self._inject_faults, self._run_restic]
        tasks += [self._read_randomly if number % 2 else self._read_sequentially for number in range(READERS)]
        threads = [threading.Thread(target=self._repeat, args=(task, number)) for number, task in enumerate(tasks)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
            self._proxy.clear()

    def summary(self) -> str:
        """A line on the work done so far."""
        with self._lock:
            read = f"{mib(self._compared)} compared, {self._failed_reads} reads failed and were retried"
            return f"{read}, restic ran {self._restic_runs} times"

    def _repeat(self, task: Callable[[random.Random], None], seed: int) -> None:
        rng = random.Random(seed)
        try:
            while not self._stop.is_set() and not self.failed.is_set():
                task(rng)
        except Exception as error:  # noqa: BLE001 - the thread has no caller to raise to
            self._add_problem(f"{task.__name__.strip('_')}: {type(error).__name__}: {error}")

    def _add_problem(self, line: str) -> None:
        with self._lock:
            self.problems.append(line)
        self.failed.set()

    def _inject_faults(self, rng: random.Random) -> None:
        """Set random faults for the next second."""
        self._proxy.clear()
        for _ in range(FAULTS_PER_SECOND):
            self._proxy.add(Rule(rng.choice(FAULTS), matching("GET"), 1, rng.randrange(20)))
        self._stop.wait(1)

    def _read_sequentially(self, rng: random.Random) -> None:
        self._read(rng.choice(self._files), lambda size: range(0, size, MIB), MIB)

    def _read_randomly(self, rng: random.Random) -> None:
        self._read(
            rng.choice(self._files),
            lambda size: [rng.randrange(max(1, size)) for _ in range(10)],
            rng.choice(READ_SIZES),
        )

    def _read(self, name: Path, offsets: Callable[[int], Sequence[int]], size: int) -> None:
        """Read at the offsets and compare. The page cache of the file is dropped first, so that the mount is read."""
        with (
            (self._directory / "mnt" / name).open("rb", 0) as mounted,
            (self._directory / "expected" / name).open("rb") as file,
        ):
            os.posix_fadvise(mounted.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for offset in offsets(os.fstat(file.fileno()).st_size):
                if self._stop.is_set():
                    return
                data = self._pread(mounted.fileno(), size, offset)
                if data != os.pread(file.fileno(), size, offset):
                    self._add_problem(f"wrong bytes: {name}, {size} from {offset}")
                with self._lock:
                    self._compared += len(data)

    def _pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """Read until ``size`` bytes or end of file; after an error the kernel returns only the bytes before it."""
        data = b""
        while len(data) < size:
            try:
                part = os.pread(descriptor, size - len(data), offset + len(data))
            except OSError:
                with self._lock:
                    self._failed_reads += 1
                if self._stop.wait(0.1):
                    raise
                continue
            if not part:
                break
            data += part
        return data

    def _run_restic(self, rng: random.Random) -> None:
        """Run a full check, or a full restore and compare it."""
        if rng.random() < 0.5:
            self._run_command("restic", "-r", "mnt", "check", "--read-data")
            return
        self._run_command("restic", "-r", "mnt", "restore", "latest", "--target", "restored")
        self._run_command("diff", "--recursive", "--brief", "data", f"restored{self._directory}/data")
        shutil.rmtree(self._directory / "restored", ignore_errors=True)

    def _run_command(self, *command: str) -> None:
        """Run a command to its end, or until the soak ends."""
        if self._stop.is_set():
            return
        environment = command_environment(self._directory) | RESTIC_PASSWORD
        with (self._directory / "output").open("w+b") as output:
            with subprocess.Popen(
                command, cwd=self._directory, env=environment, stdout=output, stderr=output
            ) as process:
                while process.poll() is None and not self._stop.wait(0.2):
                    pass
                process.terminate()
            output.seek(0)
            if process.returncode and not self._stop.is_set():
                self._add_problem(
                    f"{command[0]} {command[-1]}: {output.read().decode(errors='replace').strip()[-500:]}"
                )
        with self._lock:
            self._restic_runs += command[0] == "restic"
