"""Fixtures for real mounts. Each mount ends with its test; dead mounts of killed runs are removed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from rwmfs.mount.mountpoint import MOUNTINFO, is_dead, mounted_at
from tests import ROOT, programs

REPOSITORY = ROOT
PASSWORD = "secret"
"""Of the repositories here."""
SECONDS = 120.0
"""After which a wait fails, so that nothing hangs."""


@pytest.fixture(scope="session", autouse=True)
def _sweep() -> None:
    """Dead mounts, of rwmfs or of restic, below pytest's directories: nobody can be using them."""
    for line in MOUNTINFO.read_text().splitlines():
        place = line.split()[4]
        if " - fuse" in line and "/pytest-of-" in place and is_dead(Path(place)):
            subprocess.run(["fusermount3", "-uz", place], check=True)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll for a condition that must come true soon."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {SECONDS} s: {what}"
        time.sleep(0.01)


class Filesystem:
    """A filesystem process in the foreground. ``path`` is where it is mounted."""

    def __init__(self, path: Path, log: Path, arguments: list[str]) -> None:
        self.path = path
        self.log = log
        self.killed = False
        self.output = log.with_suffix(".output")
        command = ["serve", str(path), str(log), "--foreground", *arguments]
        with self.output.open("wb") as output:
            self.process = programs.Program(command, env=os.environ, cwd=REPOSITORY, stdout=output, stderr=output)
        self._wait_for_mount()

    def _wait_for_mount(self) -> None:
        """Wait until it is ready or has ended."""
        try:
            wait_until(lambda: self.process.poll() is not None or "ready\n" in self.printed(), "the mount")
            assert self.process.poll() is None, self.printed()
        except BaseException:
            self.process.kill()
            raise
        assert mounted_at(self.path) is not None

    def kill(self) -> None:
        """kill -9, as a crash."""
        self.killed = True
        self.process.kill()
        self.process.wait(SECONDS)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Stop it, and check its exit code and that nothing is left."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        if self.killed:
            subprocess.run(["fusermount3", "-uz", self.path], check=False, stderr=subprocess.DEVNULL)
            return
        assert code == 0, self.printed()
        assert mounted_at(self.path) is None
        assert list(self.path.iterdir()) == []

    def printed(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    def logged(self) -> str:
        """The log so far."""
        return self.log.read_text()

    def wait_for_counters(self, pattern: str) -> None:
        """Ask for the counters until they match a regular expression."""

        def match() -> bool:
            self.process.send_signal(signal.SIGUSR1)
            lines = [line for line in self.logged().splitlines() if "so far: " in line]
            return bool(lines) and re.search(pattern, lines[-1]) is not None

        wait_until(match, pattern)


Serve = Callable[..., Filesystem]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Mount files (key → text), or what lies in a directory; unmounted at the end, exit code checked."""
    running: list[Filesystem] = []

    def start(
        files: Mapping[str, str] | None = None, *, directory: Path | None = None, arguments: tuple[str, ...] = ()
    ) -> Filesystem:
        path = tmp_path / "mnt"
        path.mkdir(exist_ok=True)
        (tmp_path / "files").write_text(json.dumps(files or {}))
        what = ["--directory", str(directory)] if directory else ["--files", str(tmp_path / "files")]
        running.append(Filesystem(path, tmp_path / f"log{len(running)}", [*what, *arguments]))
        return running[-1]

    yield start
    for filesystem in reversed(running):
        filesystem.end()


class Restic:
    """Runs one restic: ``restic(repository, "check")``. No flags are added; the cache is private."""

    def __init__(self, program: str, cache: Path) -> None:
        self.program = program
        self.environment = os.environ | {"RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": str(cache)}

    def __call__(self, repository: Path, *arguments: str) -> str:
        """Run it, check its exit code, and return what it printed."""
        command = [self.program, "-r", str(repository), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def started(self, repository: Path, *arguments: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run it during the block, with its output in a file; at the end interrupt it."""
        command = [self.program, "-r", str(repository), *arguments]
        with output.open("wb") as file:
            process = subprocess.Popen(command, env=self.environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)
        finally:
            process.kill()
            process.wait(SECONDS)


@pytest.fixture
def restic(restic_program: str, tmp_path: Path) -> Restic:
    """Each restic in turn."""
    return Restic(restic_program, tmp_path / "restic-cache")
