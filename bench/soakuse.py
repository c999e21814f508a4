"""What is done to a mount in a soak: readers of all kinds, restic, and a network that fails now and then.

Every byte that is read is compared with the same object as a plain file.
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

from bench.proxy import Action, Close, Remote, Reset, Rule, Shorten, Stall, Status, WrongVersion, matching
from bench.table import MIB, mib
from rwm.demo.environment import RESTIC_PASSWORD, command_environment

READERS = 4
"""Half of them read here and there, the others from end to end."""

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
EACH_SECOND = 3
"""Faults."""

SIZES = (1, 4096, 1 << 16, 1 << 18, MIB)


class Use:
    """Of the mount at ``mnt`` in the directory, which shows what is in ``truth``.

    ``problems`` are lines; ``wrong`` is set with the first of them.
    """

    def __init__(self, directory: Path, proxy: Remote) -> None:
        self.problems: list[str] = []
        self.wrong = threading.Event()
        self._directory = directory
        self._proxy = proxy
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._compared = self._failed = self._restic = 0
        truth = directory / "truth"
        self._files = [path.relative_to(truth) for path in sorted(truth.rglob("*")) if path.is_file()]

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """All of it goes on in threads while the block runs."""
        work = [self._faults, self._restics]
        work += [self._scattered if number % 2 else self._sequential for number in range(READERS)]
        threads = [threading.Thread(target=self._work, args=(each, number)) for number, each in enumerate(work)]
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
        """What was done so far."""
        with self._lock:
            read = f"{mib(self._compared)} compared, {self._failed} reads failed and were tried again"
            return f"{read}, restic ran {self._restic} times"

    def _work(self, work: Callable[[random.Random], None], seed: int) -> None:
        draw = random.Random(seed)
        try:
            while not self._stop.is_set() and not self.wrong.is_set():
                work(draw)
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            self._problem(f"{work.__name__.strip('_')}: {type(error).__name__}: {error}")

    def _problem(self, line: str) -> None:
        with self._lock:
            self.problems.append(line)
        self.wrong.set()

    def _faults(self, draw: random.Random) -> None:
        """A few for the next second."""
        self._proxy.clear()
        for _ in range(EACH_SECOND):
            self._proxy.add(Rule(draw.choice(FAULTS), matching("GET"), 1, draw.randrange(20)))
        self._stop.wait(1)

    def _sequential(self, draw: random.Random) -> None:
        self._read(draw.choice(self._files), lambda size: range(0, size, MIB), MIB)

    def _scattered(self, draw: random.Random) -> None:
        self._read(
            draw.choice(self._files),
            lambda size: [draw.randrange(max(1, size)) for _ in range(10)],
            draw.choice(SIZES),
        )

    def _read(self, name: Path, offsets: Callable[[int], Sequence[int]], size: int) -> None:
        """Read at these offsets, and compare. The kernel keeps nothing for us, so the mount is asked."""
        with (
            (self._directory / "mnt" / name).open("rb", 0) as shown,
            (self._directory / "truth" / name).open("rb") as file,
        ):
            os.posix_fadvise(shown.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for offset in offsets(os.fstat(file.fileno()).st_size):
                if self._stop.is_set():
                    return
                data = self._pread(shown.fileno(), size, offset)
                if data != os.pread(file.fileno(), size, offset):
                    self._problem(f"wrong bytes: {name}, {size} from {offset}")
                with self._lock:
                    self._compared += len(data)

    def _pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """All of it up to the end of the file: of a read that fails later on the kernel gives what came before."""
        data = b""
        while len(data) < size:
            try:
                part = os.pread(descriptor, size - len(data), offset + len(data))
            except OSError:
                with self._lock:
                    self._failed += 1
                if self._stop.wait(0.1):
                    raise
                continue
            if not part:
                break
            data += part
        return data

    def _restics(self, draw: random.Random) -> None:
        """Check everything, or restore everything and compare it."""
        if draw.random() < 0.5:
            self._run("restic", "-r", "mnt", "check", "--read-data")
            return
        self._run("restic", "-r", "mnt", "restore", "latest", "--target", "restored")
        self._run("diff", "--recursive", "--brief", "data", f"restored{self._directory}/data")
        shutil.rmtree(self._directory / "restored", ignore_errors=True)

    def _run(self, *command: str) -> None:
        """Run it to its end, unless all ends before."""
        if self._stop.is_set():
            return
        environment = command_environment(self._directory) | RESTIC_PASSWORD
        with (self._directory / "said").open("w+b") as said:
            with subprocess.Popen(command, cwd=self._directory, env=environment, stdout=said, stderr=said) as process:
                while process.poll() is None and not self._stop.wait(0.2):
                    pass
                process.terminate()
            said.seek(0)
            if process.returncode and not self._stop.is_set():
                self._problem(f"{command[0]} {command[-1]}: {said.read().decode(errors='replace').strip()[-500:]}")
        with self._lock:
            self._restic += command[0] == "restic"
