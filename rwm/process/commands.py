"""Run programs to their end: output captured, output streamed, or by exec in place of this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rwm.errors import RwmError
from rwm.process.output import OnLine, read_outputs
from rwm.process.programs import start_errors
from rwm.process.pseudo_terminal import in_foreground, open_pseudo_terminal
from rwm.process.signals import SignalForwarding, wake_on_signals


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


def stream(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    on_line: OnLine | None = None,
    forward_signals: bool = True,
    keep_stdout: bool = False,
) -> Completed:
    """Run a program to its end and pass its output on while it runs.

    With ``on_line`` it is called for each line of both outputs (a carriage return ends a line too, as in progress
    displays); the result has the last million characters of each, and stdin is empty. Without ``on_line`` the
    child inherits stdin and each output that is a terminal. An output that is none is copied to our own, line by
    line, so that a reader that ends, or a full disk, ends no child. With ``keep_stdout`` a stdout that is a terminal
    is replaced by a pseudo-terminal (in the background by a pipe), so that the result has its end.

    SIGINT, SIGTERM and SIGHUP are forwarded to the child. After it has ended, KeyboardInterrupt or
    SystemExit(128 + signal) is raised. Without ``forward_signals`` they act on this process as always.
    Raises CommandMissing, or RwmError if the program cannot be started.
    """
    to_stdout, to_stderr = (
        None if on_line is None and file.isatty() else subprocess.PIPE for file in (sys.stdout, sys.stderr)
    )
    with contextlib.ExitStack() as stack:
        terminal = None
        if keep_stdout and to_stdout is None:
            terminal = stack.enter_context(open_pseudo_terminal()) if in_foreground() else None
            to_stdout = terminal.child_end if terminal else subprocess.PIPE
        forwarding = stack.enter_context(SignalForwarding()) if forward_signals else None
        with start_errors(argv[0]):
            stdin = None if on_line is None else subprocess.DEVNULL
            process = subprocess.Popen(argv, env=env, stdin=stdin, stdout=to_stdout, stderr=to_stderr)
        if terminal:
            terminal.close_child_end()
        stack.enter_context(process)
        if forwarding:
            forwarding.start(process)
        wakeup = stack.enter_context(wake_on_signals())
        stdout, on_stdout = (terminal.output, terminal.show) if terminal else (process.stdout, None)
        try:
            out, err = read_outputs(process.pid, stdout, process.stderr, on_line or _copy_line, on_stdout, wakeup)
            process.wait()
        except BaseException:
            process.terminate()  # on_line failed: the child would block on a full pipe
            raise
    return Completed(process.returncode, out, err)


def _copy_line(name: str, line: str) -> None:
    print(line, file=sys.stdout if name == "stdout" else sys.stderr, flush=True)


def run_shell(
    command: str,
    *,
    env: Mapping[str, str] | None = None,
    on_line: OnLine | None = None,
    forward_signals: bool = True,
) -> Completed:
    """:func:`stream` for a shell command line."""
    return stream(["/bin/sh", "-c", command], env=env, on_line=on_line, forward_signals=forward_signals)


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
