"""A pseudo-terminal between a child and our terminal: the child shows its progress, and what it prints can be kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_WINDOW_SIZE_LENGTH = 8  # bytes of struct winsize, ioctl_tty(2)


@dataclass
class PseudoTerminal:
    """``child_end`` is a descriptor for the child's stdout; ``output`` is what the child prints there."""

    child_end: int
    output: IO[bytes]

    def close_child_end(self) -> None:
        """Close our copy, so that ``output`` ends with the child. Further calls do nothing."""
        if self.child_end >= 0:
            os.close(self.child_end)
            self.child_end = -1

    def show(self, data: bytes) -> None:
        """Write output of the child to our stdout, unchanged, and pass the size of our terminal on to the child."""
        _copy_window_size(sys.stdout.fileno(), self.output.fileno())
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@contextlib.contextmanager
def open_pseudo_terminal() -> Iterator[PseudoTerminal]:
    """A pseudo-terminal of the size of our stdout, which is a terminal. Line ends are not translated."""
    parent_end, child_end = os.openpty()
    with os.fdopen(parent_end, "rb", buffering=0) as output:
        terminal = PseudoTerminal(child_end, output)
        try:
            modes = termios.tcgetattr(child_end)
            modes[1] &= ~termios.OPOST  # our own terminal translates
            termios.tcsetattr(child_end, termios.TCSANOW, modes)
            _copy_window_size(sys.stdout.fileno(), child_end)
            sys.stdout.flush()
            yield terminal
        finally:
            terminal.close_child_end()


def in_foreground() -> bool:
    """Whether our stdout is a terminal, and this process is not in the background of it."""
    if not sys.stdout.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdout.fileno()) == os.getpgrp()
    except OSError:  # not the terminal that controls this process
        return True


def _copy_window_size(source: int, target: int) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(_WINDOW_SIZE_LENGTH))
        fcntl.ioctl(target, termios.TIOCSWINSZ, size)
