"""Private directories (mode 0700, owned by us or root), and temporary files without a name."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rwm.errors import ConfigError, SpoolFull

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def make_directory(path: Path) -> None:
    """Create ``path`` and its missing parents with mode 0700. Raises OSError."""
    for missing in [parent for parent in reversed(path.parents) if not parent.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)  # mkdir(parents=True) would give parents the default mode
    path.mkdir(mode=0o700, exist_ok=True)


def make_private_directory(path: Path, *, hint: str) -> Path:
    """Create ``path`` and its missing parents with mode 0700, and return it. ``hint`` names the setting to change.

    Raises ConfigError if that fails, or if ``path`` is a symbolic link or belongs to another user.
    """
    try:
        make_directory(path)
    except OSError as error:
        raise ConfigError(f"directory {path}: {error.strerror}", hint=hint) from error
    check_private_directory(path, hint=hint)
    return path


def check_private_directory(path: Path, *, hint: str) -> None:
    """Raise ConfigError if ``path`` is a symbolic link, belongs to another user, or cannot be examined."""
    try:
        found = path.lstat()
    except OSError as error:
        raise ConfigError(f"directory {path}: {error.strerror}", hint=hint) from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"directory {path} is a symbolic link or belongs to another user", hint=hint)


_VAR_TMP = "/var/tmp"  # noqa: S108 - the files have no name


def spool_directory() -> str | None:
    """Where temporary files may be large: ``TMPDIR``, or /var/tmp because /tmp may be in memory. None: the default."""
    return None if "TMPDIR" in os.environ or not os.access(_VAR_TMP, os.W_OK) else _VAR_TMP


def open_spool() -> int:
    """The descriptor of a new temporary file with mode 0600 and no name. Raises OSError."""
    descriptor, path = tempfile.mkstemp(prefix="rwm-", dir=spool_directory())
    Path(path).unlink()
    return descriptor


@contextmanager
def temporary_file_errors() -> Iterator[None]:
    """Raise SpoolFull for errors of the operating system."""
    try:
        yield
    except OSError as error:
        raise SpoolFull(f"{UNWRITABLE}: {error.strerror or error}", hint=MORE_ROOM) from error


UNWRITABLE = "a temporary file cannot be written"
MORE_ROOM = "set TMPDIR to a directory with more room, then run the command again"


class _TemporaryFile(io.FileIO):
    """A file of which no error is taken for one of another file."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write to the file. Raises SpoolFull."""
        with temporary_file_errors():
            return super().write(data)


class _Buffered(io.BufferedRandom):
    """What is buffered when it is closed need not be written: nobody can read it any more."""

    def close(self) -> None:
        """Free the space."""
        with suppress(SpoolFull):
            super().close()


def temporary_file() -> IO[bytes]:
    """A new temporary file, as :func:`open_spool`, to write and read. Raises SpoolFull, also later where it is full."""
    with temporary_file_errors():
        return _Buffered(_TemporaryFile(open_spool(), "r+b"))


def path_of(file: IO[bytes]) -> Path:
    """The path of an open temporary file, as long as this process has it open. What was written is to be flushed."""
    return Path(f"/proc/self/fd/{file.fileno()}")
