"""Both outputs of a child, line by line, while it runs."""

from __future__ import annotations

import codecs
import os
import selectors
import time
from collections.abc import Callable
from typing import IO

OnLine = Callable[[str, str], object]
"""Called with ``"stdout"`` or ``"stderr"`` and one line without its end, in the thread that reads."""

KEEP = 1 << 20
"""How many last characters of each output are kept, at least."""

LONGEST_LINE = 1 << 16
"""A line longer than this is handed on in pieces."""

LINGER = 0.5
"""Seconds to go on reading after the child's end: what it left running may hold the pipes open for ever."""


class Lines:
    """Cuts one output into lines and keeps its last part."""

    def __init__(self, name: str, on_line: OnLine) -> None:
        self._name = name
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._line = ""
        self._returned = False
        self._kept: list[str] = []
        self._size = 0

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Take the next bytes, which may end anywhere, even within a character."""
        text = self._decoder.decode(data, final)
        self._keep(text)
        if self._returned and text:  # "\r\n" is one end of line, also when it comes in two parts
            text = text.removeprefix("\n")
            self._returned = False
        self._returned = self._returned or text.endswith("\r")
        *lines, self._line = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if self._line and (final or len(self._line) > LONGEST_LINE):
            lines.append(self._line)
            self._line = ""
        for line in lines:
            self._on_line(self._name, line)

    def text(self) -> str:
        """The last part of the output, ends of lines as they were."""
        return "".join(self._kept)[-KEEP:]

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._size += len(text)
        if self._size > 2 * KEEP:  # not every time, which would copy a megabyte per line
            self._kept = [self.text()]
            self._size = KEEP


def follow(pid: int, stdout: IO[bytes] | None, stderr: IO[bytes] | None, on_line: OnLine) -> tuple[str, str]:
    """Read the child's outputs until their end, or shortly after the child's; returns the last part of each.

    Both are read in one loop: neither can fill up and stop the child, and ``on_line`` needs no lock.
    """
    outputs = Lines("stdout", on_line), Lines("stderr", on_line)
    ended = os.pidfd_open(pid)
    deadline: float | None = None
    try:
        with selectors.DefaultSelector() as ready:
            ready.register(ended, selectors.EVENT_READ)
            for pipe, lines in zip((stdout, stderr), outputs, strict=True):
                if pipe is not None:
                    ready.register(pipe, selectors.EVENT_READ, lines)
            while any(key.data for key in ready.get_map().values()):
                wait = None if deadline is None else max(0.0, deadline - time.monotonic())
                for key, _ in ready.select(wait):
                    if key.data is None:
                        ready.unregister(ended)
                        deadline = time.monotonic() + LINGER
                    elif data := os.read(key.fd, 1 << 16):
                        key.data.feed(data)
                    else:
                        ready.unregister(key.fileobj)
                # A pipe holds 64 KiB, so what the child itself wrote has been read by now.
                if deadline is not None and time.monotonic() >= deadline:
                    break
    finally:
        os.close(ended)
    for lines in outputs:
        lines.feed(b"", final=True)
    return outputs[0].text(), outputs[1].text()
