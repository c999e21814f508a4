"""Going into the background: the parent returns when the child says that it is ready, or what went wrong.

The child is forked before there are threads, trio or open connections; it builds all it needs itself. A pipe carries
one JSON document back: a report when it is ready, or an error with its exit code. A pipe that closes without one means
that the child was killed. The parent waits for the end of a child that failed, so none is left behind; one that is
ready has a session of its own and belongs to init as soon as the parent ends.

Until then it stays in the process group of the caller: under an automount nobody else may touch the mountpoint before
the mount is there. So Ctrl-C reaches both of them; the child leaves it to the parent, which ends it. The parent ends it
too when it is told to end itself.
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

ENDING = (signal.SIGTERM, signal.SIGHUP)

Ready = Callable[[dict[str, Any]], None]
"""What the child calls once it is ready, with a report of plain values."""


def in_background(serve: Callable[[Ready], None]) -> dict[str, Any]:
    """Run ``serve`` in a child and return the report that it makes when it is ready.

    Raises the RwmError that it raised before that (message, hint and exit code), or MountError if it just died.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    inlet, outlet = os.pipe()
    with _signals_are_exceptions():
        child = os.fork()
        if child == 0:
            os.close(inlet)
            _child(serve, outlet)
        os.close(outlet)
        try:
            with os.fdopen(inlet, "rb") as pipe:
                answer = pipe.read()
        except BaseException:  # told to end while it starts: no mount is left behind
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            raise
    message = json.loads(answer) if answer else {}
    if "ready" in message:
        report: dict[str, Any] = message["ready"]
        return report | {"pid": child}
    _, status = os.waitpid(child, 0)
    if "error" not in message:
        raise MountError(f"the filesystem process died while it started ({_how(status)})")
    error = RwmError(message["error"], hint=message["hint"])
    error.exit_code = message["exit_code"]
    raise error


@contextmanager
def _signals_are_exceptions() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, unless they are ignored."""

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _child(serve: Callable[[Ready], None], outlet: int) -> NoReturn:
    """Serve and exit; never return into the parent's code."""
    told = False

    def tell(message: dict[str, Any]) -> None:
        nonlocal told
        told = True
        with os.fdopen(outlet, "w", encoding="utf-8") as pipe:
            json.dump(message, pipe)

    def ready(report: dict[str, Any]) -> None:
        os.setsid()
        os.chdir("/")
        _close_standard_streams()
        tell({"ready": report})

    code = 0
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        _close_inherited(outlet)
        serve(ready)
    except BaseException as error:
        problem = error if isinstance(error, RwmError) else RwmError(f"internal error: {type(error).__name__}: {error}")
        code = problem.exit_code
        log.critical("the mount ends: %s", problem.message, exc_info=problem is not error)
        if not told:
            tell({"error": problem.message, "hint": problem.hint, "exit_code": code})
    finally:
        logging.shutdown()
        os._exit(code)


def _close_inherited(keep: int) -> None:
    """Close what the parent had open, such as the lock of a script that must not live as long as the mount."""
    for name in Path("/proc/self/fd").iterdir():
        descriptor = int(name.name)
        if descriptor > 2 and descriptor != keep:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the one that listed the directory


def _close_standard_streams() -> None:
    """Let go of the caller's terminal and pipes: whoever reads them waits for their end."""
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
