"""Work that a signal ends as Ctrl-C does, and that the same command goes on with."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rwm.console.output import print_note

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """End the block by KeyboardInterrupt on SIGTERM and SIGHUP too, after a note; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print_note("the same command goes on where this one was interrupted")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
