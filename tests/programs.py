"""rwm and rwmfs as processes, forked from one that has imported them: a tenth of the cost of a start.

Working directory, environment, standard streams, signals and exit codes are those of a program that was just started.
A test of the start itself, such as which modules it imports, runs ``python -m``.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

from rwm import process

MAIN = {
    "rwm": "rwm.cli.main",
    "rwmfs": "rwmfs.cli.main",
    "test-program": "tests.script",
    "serve": "tests.mount.serve",
    "short-timeouts": "tests.mount.short_timeouts",
}
"""Program → module with its ``main``."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.preload"])


class Program:
    """A running program of :data:`MAIN`, used as a ``subprocess.Popen`` is; its stdin is empty."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdout: IO[Any] | int,
        stderr: IO[Any] | int,
        start_new_session: bool = False,
    ) -> None:
        streams = [_Stream(stream if isinstance(stream, int) else stream.fileno()) for stream in (stdout, stderr)]
        self._process = _context.Process(target=_become, args=(list(argv), dict(env), cwd, streams, start_new_session))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> process.Completed:
    """Run a program of :data:`MAIN` to its end and return what it printed."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        code = Program(argv, env=env, cwd=cwd, stdout=stdout, stderr=stderr).wait()
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return process.Completed(code, *texts)


class _Stream:
    """A file descriptor that is one in the other process too."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _Stream._arrived, (DupFd(self.descriptor),)

    @staticmethod
    def _arrived(duplicate: Any) -> _Stream:
        return _Stream(duplicate.detach())


def _become(argv: list[str], env: dict[str, str], cwd: Path, streams: list[_Stream], new_session: bool) -> None:
    """In the forked process."""
    if new_session:
        os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    for number, stream in enumerate([_Stream(os.open(os.devnull, os.O_RDONLY)), *streams]):
        os.dup2(stream.descriptor, number, inheritable=True)
        os.close(stream.descriptor)
    sys.stdin = open(0)  # noqa: SIM115 - for as long as the process lives
    sys.argv = argv
    sys.exit(importlib.import_module(MAIN[argv[0]]).main())
