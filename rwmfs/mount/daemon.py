"""Run a mount in a background process: the parent returns once the child is ready, or raises the child's error.

The child is forked before there are threads, trio or open connections, and builds all it needs itself. A pipe returns
one JSON document: a report when the child is ready, or an error with its exit code. If it is closed without one, the
child was killed. The parent waits for a child that failed. A child that is ready has its own session, and init adopts
it when the parent ends.

Until it is ready the child stays in the caller's process group: under an automount of systemd, processes outside that
group block on the mountpoint until the mount is ready. So Ctrl-C reaches both. The child ignores it; the parent
terminates the child, as it also does on SIGTERM and SIGHUP.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rwm.errors import MountError, RwmError

log = logging.getLogger(__name__)

TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

Ready = Callable[[dict[str, Any]], None]
"""Called by the child once it is ready, with a report that is a JSON object."""


def run_in_background(serve: Callable[[Ready], None]) -> dict[str, Any]:
    """Run ``serve`` in a child process, and return its report once it is ready, with its ``pid``.

    Raises the child's RwmError (message, hint and exit code), or MountError if it was killed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read_end, write_end = os.pipe()
    with _signals_as_exceptions():
        child = os.fork()
        if child == 0:
            os.close(read_end)
            _run_child(serve, write_end)
        os.close(write_end)
        try:
            with os.fdopen(read_end, "rb") as pipe:
                answer = pipe.read()
        except BaseException:  # a signal: leave no mount behind
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            raise
    message = json.loads(answer) if answer else {}
    if "ready" in message:
        report: dict[str, Any] = message["ready"]
        return report | {"pid": child}
    _, status = os.waitpid(child, 0)
    if "error" not in message:
        raise MountError(f"the mount process ended before the mount was ready ({_exit_text(status)})")
    error = RwmError(message["error"], hint=message["hint"])
    error.exit_code = message["exit_code"]
    raise error


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, unless they are ignored."""

    def exit_on_signal(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in TERMINATION_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, exit_on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_text(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _run_child(serve: Callable[[Ready], None], write_end: int) -> NoReturn:
    """Serve, then exit without returning into the parent's code."""
    sent = False

    def send(message: dict[str, Any]) -> None:
        nonlocal sent
        sent = True
        with os.fdopen(write_end, "w", encoding="utf-8") as pipe:
            json.dump(message, pipe)

    def ready(report: dict[str, Any]) -> None:
        os.setsid()
        os.chdir("/")
        _close_standard_streams()
        send({"ready": report})

    code = 0
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in TERMINATION_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        _close_inherited(write_end)
        serve(ready)
    except BaseException as error:
        problem = error if isinstance(error, RwmError) else RwmError(f"internal error: {type(error).__name__}: {error}")
        code = problem.exit_code
        log.critical("mount failed: %s", problem.message, exc_info=problem is not error)
        if not sent:
            send({"error": problem.message, "hint": problem.hint, "exit_code": code})
    finally:
        logging.shutdown()
        os._exit(code)


def _close_inherited(keep: int) -> None:
    """Close inherited descriptors: a lock held by the calling script must not last as long as the mount."""
    for name in Path("/proc/self/fd").iterdir():
        descriptor = int(name.name)
        if descriptor > 2 and descriptor != keep:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the descriptor of this listing


def _close_standard_streams() -> None:
    """Redirect them to /dev/null: a reader of the caller's pipes would wait for the end of the mount."""
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
