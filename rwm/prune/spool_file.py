"""A private temporary file of a prune: pieces are appended, and any of them can be read."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rwm.errors import SpoolFull
from rwm.private import open_spool

_CHUNK = 1 << 20


class SpoolFile:
    """A file without a name, or an open one that exists (``descriptor``). It is closed when nobody uses it any more.

    Raises SpoolFull where it cannot be created or written.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        with _errors():
            self._descriptor = open_spool() if descriptor is None else descriptor
        weakref.finalize(self, os.close, self._descriptor)
        self._end = 0

    def append(self, data: bytes | bytearray) -> int:
        """Write at the end of what was appended before; returns the offset."""
        start = self._end
        with _errors():
            while self._end < start + len(data):
                self._end += os.pwrite(self._descriptor, memoryview(data)[self._end - start :], self._end)
        return start

    def read(self, offset: int, length: int) -> bytes:
        """A part of the file."""
        return os.pread(self._descriptor, length, offset)

    def chunks(self) -> Iterator[bytes]:
        """All of the file."""
        position = 0
        while chunk := self.read(position, _CHUNK):
            yield chunk
            position += len(chunk)

    @property
    def path(self) -> Path:
        """The path, as long as this process has the file."""
        return Path(f"/proc/self/fd/{self._descriptor}")


@contextmanager
def _errors() -> Iterator[None]:
    """Raise SpoolFull for errors of the operating system."""
    try:
        yield
    except OSError as error:
        raise SpoolFull(
            f"the file for the plan cannot be written: {error.strerror}",
            hint="set TMPDIR to a directory with more room; nothing was deleted",
        ) from error
