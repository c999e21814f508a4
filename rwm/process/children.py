"""Children that run to their end: captured, streamed, or in our place."""

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
from rwm.process.follow import OnLine, follow
from rwm.process.start import find, start_errors

__all__ = ["Completed", "find", "replace", "run", "shell", "stream"]


@dataclass(frozen=True, slots=True)
class Completed:
    """A child that has ended. ``returncode`` is negative when a signal ended it."""

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
    """Run to the end and return what was printed; a child that reads finds ``stdin``, or nothing.

    Raises CommandMissing, or RwmError when it cannot be started or takes longer than ``timeout`` seconds (it
    is killed then). An exit code other than 0 is the caller's to judge.
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
    """Run to the end with the output shown while it comes.

    With ``on_line`` every line of both outputs goes there, also the parts that a progress display ends with a
    carriage return, and the result keeps the last part (about a million characters) of each; the child finds
    nothing on its stdin. Without it the child has our own stdin, stdout and stderr, and the texts are empty.

    SIGINT, SIGTERM and SIGHUP are passed on to the child, which decides; once it has ended, KeyboardInterrupt
    or SystemExit(128 + signal) is raised. Raises CommandMissing, or RwmError when it cannot be started.
    """
    inherited = on_line is None
    pipe = None if inherited else subprocess.PIPE
    with start_errors(argv[0]):
        process = subprocess.Popen(
            argv, env=env, stdin=None if inherited else subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    out = err = ""
    with process, _passing_signals_on(process):
        try:
            if on_line is not None:
                out, err = follow(process.pid, process.stdout, process.stderr, on_line)
            process.wait()
        except BaseException:
            process.terminate()  # on_line failed: never leave a child that nobody reads
            raise
    return Completed(process.returncode, out, err)


def shell(command: str, *, env: Mapping[str, str] | None = None, on_line: OnLine | None = None) -> Completed:
    """:func:`stream` for a line of shell, as hooks are."""
    return stream(["/bin/sh", "-c", command], env=env, on_line=on_line)


def replace(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Become ``argv``: its terminal, signals and exit code are ours then. Raises as :func:`run` does."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two and exec keeps what is ignored: `rwm restic … | head` would not end.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        with start_errors(argv[0]):
            os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - no shell is what we want
    finally:  # we are still here: it could not be started
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _passing_signals_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Until the end of the block SIGINT, SIGTERM and SIGHUP go to the child; the first is then acted on.

    Ctrl-C reaches a child in our process group from the terminal too; the second one, a moment later, does no
    harm, while a child that never hears of `kill -INT` would. Python lets only the main thread have handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        process.send_signal(number)

    # What is ignored (nohup) the child ignores too; a handler that Python did not set cannot be put back.
    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt if caught[0] == signal.SIGINT else SystemExit(128 + caught[0])
