"""Background programs that run until they are stopped, supervised by a watchdog."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from rwm.errors import RwmError
from rwm.process import watchdog
from rwm.process.programs import find_program, start_errors

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""


class Daemon:
    """A child that runs until it is stopped, and ends with this process even if that is killed.

    Its output is appended to the file ``log_path`` (mode 0600). ``pid`` is the pid of the program, not of its
    watchdog. As a context manager it is stopped at the end of the block.
    Raises CommandMissing, or RwmError if it cannot be started.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log_path: Path) -> None:
        program = find_program(argv[0])
        self.name = Path(program).name
        self.log_path = log_path
        try:
            log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RwmError(f"{self.name} cannot log to {log_path}: {error.strerror}") from error
        try:
            with start_errors(program):
                self._watchdog = subprocess.Popen(
                    [sys.executable, "-I", watchdog.__file__, str(GRACE), program, *argv[1:]],
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C in the terminal goes to this process, which stops the child
                )
        finally:
            os.close(log)
        assert self._watchdog.stdout is not None
        with self._watchdog.stdout as pipe:
            line = pipe.readline()
        if not line:
            self._watchdog.communicate()
            raise RwmError(f"{self.name} could not be started: {self.log_tail(1)}")
        self.pid = int(line)
        # A pidfd: the number may be reused by another process.
        self._child: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self._child = os.pidfd_open(self.pid)

    def running(self) -> bool:
        """Whether the child is still running."""
        return self._child is not None and not self._wait(0)

    def stop(self, timeout: float = GRACE) -> int:
        """Send SIGTERM, after ``timeout`` seconds SIGKILL. Returns the exit code, or 128 + signal. Idempotent."""
        self._signal(signal.SIGTERM)
        if not self._wait(timeout):
            self._signal(signal.SIGKILL)
        return self._finish()

    def kill(self) -> int:
        """Send SIGKILL and wait, to simulate a crash. Returns as :meth:`stop` does."""
        self._signal(signal.SIGKILL)
        return self._finish()

    def log_tail(self, lines: int = 10) -> str:
        """The last lines of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._child is not None:
                signal.pidfd_send_signal(self._child, number)

    def _wait(self, timeout: float | None) -> bool:
        """Wait for the end of the child, at most ``timeout`` seconds; whether it has ended."""
        if self._child is None:
            return True
        poll = select.poll()
        poll.register(self._child, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def _finish(self) -> int:
        self._wait(None)
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        code = self._watchdog.wait()
        if self._child is not None:
            os.close(self._child)
            self._child = None
        return code


def spawn(argv: Sequence[str], *, env: Mapping[str, str] | None = None, log_path: Path) -> Daemon:
    """Start a supervised child; see :class:`Daemon`."""
    return Daemon(argv, env=env, log_path=log_path)
