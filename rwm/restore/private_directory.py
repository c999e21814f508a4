"""A directory that no other user can write to, and files created in it without following symbolic links."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rwm.errors import Refused, UsageError
from rwm.private import make_directory

_USE_ANOTHER = "name a new one, which is made"


@contextmanager
def open_private(directory: Path) -> Iterator[Path]:
    """Create the directory if it is missing, and hold it open. Yields a path to it that survives a rename.

    Raises Refused for a directory that is a symbolic link, not empty, another user's or writable by others, UsageError
    for one that cannot be made or opened.
    """
    try:
        make_directory(directory)
        if directory.is_symlink():
            raise Refused(f"directory {directory} is a symbolic link", hint="name the directory itself, or a new one")
        number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"directory {directory}: {error.strerror}", hint="name a new or an empty directory") from error
    opened = Path(f"/proc/self/fd/{number}")
    try:
        _check_private(directory, os.fstat(number))
        if any(opened.iterdir()):
            raise Refused(f"directory {directory} is not empty", hint=_USE_ANOTHER)
        yield opened
    finally:
        os.close(number)


def _check_private(directory: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise Refused(f"directory {directory} belongs to another user", hint=_USE_ANOTHER)
    if found.st_mode & 0o022:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise Refused(f"directory {directory} can be written to by others (mode {mode})", hint=_USE_ANOTHER)


def make_directories(root: Path, directory: Path) -> None:
    """Create ``directory`` and its missing parents below ``root``, each with mode 0700."""
    if directory.is_dir():
        return
    below = directory.relative_to(root)
    for path in (*reversed(below.parents), below):
        (root / path).mkdir(mode=0o700, exist_ok=True)


def create_file(path: Path) -> IO[bytes]:
    """Create a file with mode 0600. Raises FileExistsError where the name is taken, also by a symbolic link."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")
