"""Read stdout and stderr of a child line by line while it runs."""

from __future__ import annotations

import codecs
import errno
import os
import selectors
import time
from collections.abc import Callable
from typing import IO

OnLine = Callable[[str, str], object]
"""Called in the reading thread with ``"stdout"`` or ``"stderr"`` and one line without its end."""

OnBytes = Callable[[bytes], object]
"""Called in the reading thread with the next bytes of an output."""

TAIL_LENGTH = 1 << 20
"""Characters kept from the end of each output."""

MAX_LINE = 1 << 16
"""Characters; a longer line is passed on in pieces."""

DRAIN_SECONDS = 0.5
"""How long to read on after the end of the child: its own children may keep the pipes open."""


class TailKeeper:
    """Keeps the tail of one output, and passes the output on as bytes."""

    def __init__(self, on_bytes: OnBytes | None = None) -> None:
        self._on_bytes = on_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._tail: list[str] = []
        self._tail_length = 0

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Add the next bytes; they may end anywhere, even within a character."""
        self._decode(data, final=final)
        if self._on_bytes is not None:
            self._on_bytes(data)

    def tail(self) -> str:
        """The tail of the output, with its line ends unchanged."""
        return "".join(self._tail)[-TAIL_LENGTH:]

    def _decode(self, data: bytes, *, final: bool) -> str:
        text = self._decoder.decode(data, final)
        self._tail.append(text)
        self._tail_length += len(text)
        if self._tail_length > 2 * TAIL_LENGTH:  # trimming on each call would copy a megabyte per line
            self._tail = [self.tail()]
            self._tail_length = TAIL_LENGTH
        return text


class LineSplitter(TailKeeper):
    """Splits one output into lines and keeps its tail."""

    def __init__(self, name: str, on_line: OnLine) -> None:
        super().__init__()
        self._name = name
        self._on_line = on_line
        self._line = ""
        self._after_return = False

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Add the next bytes; they may end anywhere, even within a character."""
        text = self._decode(data, final=final)
        if self._after_return and text:  # "\r\n" ends one line, even if split between two reads
            text = text.removeprefix("\n")
            self._after_return = False
        self._after_return = self._after_return or text.endswith("\r")
        *lines, self._line = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if self._line and (final or len(self._line) > MAX_LINE):
            lines.append(self._line)
            self._line = ""
        for line in lines:
            self._on_line(self._name, line)


def read_outputs(
    pid: int,
    stdout: IO[bytes] | None,
    stderr: IO[bytes] | None,
    on_line: OnLine,
    on_stdout: OnBytes | None = None,
    wakeup: int | None = None,
) -> tuple[str, str]:
    """Read both outputs until they and the child end, or until shortly after the child ends. Returns both tails.

    With ``on_stdout`` it gets stdout as bytes, in place of ``on_line``. One loop reads both pipes: neither can fill up
    and block the child, and ``on_line`` needs no lock. ``wakeup`` is a descriptor that ends a wait, so that Python runs
    the handlers of signals.
    """
    splitters: tuple[TailKeeper, TailKeeper] = (
        TailKeeper(on_stdout) if on_stdout else LineSplitter("stdout", on_line),
        LineSplitter("stderr", on_line),
    )
    ended = os.pidfd_open(pid)
    deadline: float | None = None
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            if wakeup is not None:
                selector.register(wakeup, selectors.EVENT_READ)
            for pipe, splitter in zip((stdout, stderr), splitters, strict=True):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, splitter)
            while deadline is None or any(key.data for key in selector.get_map().values()):
                wait = None if deadline is None else max(0.0, deadline - time.monotonic())
                for key, _ in selector.select(wait):
                    if key.fileobj == ended:
                        selector.unregister(ended)
                        deadline = time.monotonic() + DRAIN_SECONDS
                    elif key.fileobj == wakeup:
                        os.read(key.fd, 1 << 16)
                    elif data := _read(key.fd):
                        key.data.feed(data)
                    else:
                        selector.unregister(key.fileobj)
                # A pipe holds at most 64 KiB, so all output of the child itself has been read by now.
                if deadline is not None and time.monotonic() >= deadline:
                    break
    finally:
        os.close(ended)
    for splitter in splitters:
        splitter.feed(b"", final=True)
    return splitters[0].tail(), splitters[1].tail()


def _read(descriptor: int) -> bytes:
    """The next bytes, empty at the end."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""  # a pseudo-terminal that no child has open any more
