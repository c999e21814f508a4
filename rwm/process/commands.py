"""Run programs to their end: output captured, output streamed, or by exec in place of this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rwm.errors import RwmError
from rwm.process.output import OnLine, read_outputs
from rwm.process.programs import start_errors


@dataclass(frozen=True, slots=True)
class Completed:
    """The result of a child. ``returncode`` is minus the signal number if a signal ended it."""

    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> Completed:
    """Run a program to its end and capture its output; its stdin is the text ``stdin``, or empty.

    Raises CommandMissing, or RwmError if it cannot be started or runs longer than ``timeout`` seconds (it is
    then killed). The caller checks the exit code.
    """
    with start_errors(argv[0]):
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    with process:
        try:
            out, err = process.communicate(None if stdin is None else stdin.encode(), timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise RwmError(f"{Path(argv[0]).name} did not end within {timeout:g} s and was killed") from None
        except BaseException:
            process.kill()
            raise
    return Completed(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def stream(argv: Sequence[str], *, env: Mapping[str, str] | None = None, on_line: OnLine | None = None) -> Completed:
    """Run a program to its end and pass its output on while it runs.

    With ``on_line`` it is called for each line of both outputs (a carriage return ends a line too, as in progress
    displays); the result has the last million characters of each, and stdin is empty. Without ``on_line`` the
    child inherits stdin, stdout and stderr, and the texts of the result are empty.

    SIGINT, SIGTERM and SIGHUP are forwarded to the child. After it has ended, KeyboardInterrupt or
    SystemExit(128 + signal) is raised. Raises CommandMissing, or RwmError if the program cannot be started.
    """
    inherit = on_line is None
    pipe = None if inherit else subprocess.PIPE
    with start_errors(argv[0]):
        process = subprocess.Popen(
            argv, env=env, stdin=None if inherit else subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    out = err = ""
    with process, _forward_signals(process):
        try:
            if on_line is not None:
                out, err = read_outputs(process.pid, process.stdout, process.stderr, on_line)
            process.wait()
        except BaseException:
            process.terminate()  # on_line failed: the child would block on a full pipe
            raise
    return Completed(process.returncode, out, err)


def run_shell(command: str, *, env: Mapping[str, str] | None = None, on_line: OnLine | None = None) -> Completed:
    """:func:`stream` for a shell command line."""
    return stream(["/bin/sh", "-c", command], env=env, on_line=on_line)


def exec_program(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by ``argv`` (exec). Raises CommandMissing, or RwmError if it cannot be started."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two, and exec keeps ignored signals: `rwm restic … | head` would not end.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        with start_errors(argv[0]):
            os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - no shell is intended
    finally:  # exec failed
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _forward_signals(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Forward SIGINT, SIGTERM and SIGHUP to the child during the block; then raise for the first one received.

    On Ctrl-C the child gets SIGINT twice, from the terminal and from here. That is harmless, and `kill -INT` of
    this process reaches it only from here. Only the main thread can set handlers, so other threads forward nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        process.send_signal(number)

    # An ignored signal (nohup) stays ignored; a handler that Python did not set (None) could not be restored.
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])
