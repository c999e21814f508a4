"""SIGINT, SIGTERM and SIGHUP while children run: forwarded to them, or held back until a step is complete."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_deferred: list[list[int]] = []
"""The signals received in each block of :func:`defer_signals`, innermost last."""


@contextlib.contextmanager
def defer_signals() -> Iterator[Callable[[], None]]:
    """Hold the signals back during the block, and raise for the first one at its end.

    Yields a function that raises for one that came, to be called where the block may be left. A child of
    :func:`rwm.process.stream` gets those that come while it runs; none is started with signals forwarded to it after
    one came.
    """
    received: list[int] = []

    def raise_received() -> None:
        if received:
            _raise_for(received[0])

    _deferred.append(received)
    try:
        with _handle_signals(received.append):
            yield raise_received
    finally:
        _deferred.pop()
    raise_received()


class SignalForwarding:
    """Forward the signals to a child during the block; then raise for the first one received.

    The block begins before the child is started, so that no signal is lost. On Ctrl-C the child gets SIGINT twice,
    from the terminal and from here. That is harmless, and `kill -INT` of this process reaches it only from here.
    """

    def __init__(self) -> None:
        self._received: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._handlers = _handle_signals(self._forward)

    def __enter__(self) -> SignalForwarding:
        if _deferred and _deferred[-1]:
            _raise_for(_deferred[-1][0])
        self._handlers.__enter__()
        return self

    def start(self, child: subprocess.Popen[bytes]) -> None:
        """Forward to this child what has come and what comes."""
        self._child = child
        for number in list(self._received):
            child.send_signal(number)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._handlers.__exit__(None, None, None)
        if self._received and error is None:
            _raise_for(self._received[0])

    def _forward(self, number: int) -> None:
        self._received.append(number)
        if self._child is not None:
            self._child.send_signal(number)


@contextlib.contextmanager
def wake_on_signals() -> Iterator[int | None]:
    """A descriptor that is readable after a signal, for a selector; None outside the main thread.

    Python runs a handler only between two steps of its own. A signal that comes just before a blocking call would be
    handled when that returns, which may be at the child's end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    try:
        yield read_end
    finally:
        signal.set_wakeup_fd(before)
        os.close(read_end)
        os.close(write_end)


@contextlib.contextmanager
def _handle_signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Call ``handle`` for each signal during the block. Only the main thread can set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # An ignored signal (nohup) stays ignored; a handler that Python did not set (None) could not be restored.
    before = {
        number: earlier for number in SIGNALS if (earlier := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }

    def handler(number: int, _frame: FrameType | None) -> None:
        handle(number)

    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _raise_for(number: int) -> NoReturn:
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
