"""Standard streams of a process: always open, and a failed write never stops the work.

Output may get lost: the reader of a pipe ends (``| head``), the disk of a log is full, journald is restarted. The work
continues, and the exit code says at the end that a part of the output was lost.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class BestEffortFile(io.FileIO):
    """A file descriptor to write to. A failed write is remembered in ``error`` and all later output is dropped.

    With ``strict`` a failed write raises as usual.
    """

    error: OSError | None = None
    strict = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some of ``data``; returns the number of bytes that are written or dropped."""
        while True:
            if self.error is not None and not self.strict:
                return memoryview(data).nbytes
            try:
                written: int | None = super().write(data)  # None: the descriptor does not block, and is full
            except OSError as error:
                self.error = error
                if self.strict:
                    raise
                self._drop_later_output()
            else:
                if written is not None:
                    return written
                select.select([], [self], [])

    def _drop_later_output(self) -> None:
        """Give children ``/dev/null`` too: a write to a broken pipe would kill them."""
        if self.error is not None and self.error.errno == errno.EPIPE:
            with contextlib.suppress(OSError), Path(os.devnull).open("wb") as null:
                os.dup2(null.fileno(), self.fileno())


def open_standard_streams() -> None:
    """Open ``/dev/null`` in place of a closed stdin, stdout or stderr, and make output best effort.

    Otherwise the next opened file would get the number 0, 1 or 2 and receive the output of children; and
    ``sys.stderr`` would be None, which ``print`` takes for stdout.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # open() returns the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - stays open until the process ends
    sys.stdout = _best_effort_stream(1, sys.stdout)
    sys.stderr = _best_effort_stream(2, sys.stderr)


def _best_effort_stream(number: int, stream: TextIO | None) -> io.TextIOWrapper:
    """A text stream like ``stream``; characters that its encoding lacks are written as escapes."""
    file = BestEffortFile(number, "w", closefd=False)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    lines = number == 2 or file.isatty()
    return io.TextIOWrapper(io.BufferedWriter(file), encoding, "backslashreplace", line_buffering=lines)


def lost_output() -> OSError | None:
    """Why a part of the output was lost; None if all of it was written. Flushes first."""
    errors = []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        errors.append(stream_error(stream))
    return next((error for error in errors if error), None)


def stream_error(stream: object) -> OSError | None:
    """The error since which the stream drops all output; None without one. Does not flush."""
    file = _best_effort_file(stream)
    return None if file is None else file.error


@contextlib.contextmanager
def strict_output() -> Iterator[None]:
    """In the block, a failed write to stdout raises OSError: the output is the purpose of the command."""
    file = _best_effort_file(sys.stdout)
    if file is None:
        yield
        return
    file.strict = True
    try:
        yield
        sys.stdout.flush()
    finally:
        file.strict = False


def _best_effort_file(stream: object) -> BestEffortFile | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, BestEffortFile) else None
