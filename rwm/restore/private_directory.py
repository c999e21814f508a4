"""A directory that no other user can write to, held open; what is below is reached without following symbolic links."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rwm.errors import LockHeld, Refused, RwmError, UsageError
from rwm.private import make_directory

_USE_ANOTHER = "name a new one, which is made"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = 0o022
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""Errors of a filesystem without hard links."""


class PrivateDirectory:
    """The directory by its descriptor: it stays the same one when its path is renamed or replaced.

    ``names`` are the components of a path below it. Each directory on the way is opened by its parent's descriptor.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self._number = number

    @contextmanager
    def open_directory(self, *names: str, create: bool = False) -> Iterator[int]:
        """Yield a descriptor of the directory; with ``create``, missing ones are made with mode 0700.

        Raises OSError, NotADirectoryError for a symbolic link.
        """
        number = os.dup(self._number)
        try:
            for name in names:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=number)
                below = os.open(name, _DIRECTORY, dir_fd=number)
                os.close(number)
                number = below
            yield number
        finally:
            os.close(number)


@contextmanager
def open_private(directory: Path) -> Iterator[PrivateDirectory]:
    """Create the directory if it is missing, hold it open, and keep other restores out of it.

    Raises Refused for a directory that is a symbolic link, another user's or writable by others, LockHeld while another
    restore writes to it, UsageError for one that cannot be made or opened.
    """
    try:
        make_directory(directory)
        if directory.is_symlink():
            raise Refused(f"directory {directory} is a symbolic link", hint="name the directory itself, or a new one")
        number = os.open(directory, _DIRECTORY)
    except OSError as error:
        raise UsageError(f"directory {directory}: {error.strerror}", hint="name a new or an empty directory") from error
    try:
        if reason := reason_not_private(os.fstat(number)):
            raise Refused(f"directory {directory} {reason}", hint=_USE_ANOTHER)
        _lock(number, directory)
        yield PrivateDirectory(directory, number)
    except OSError as error:  # read-only, full, or a directory in it that cannot be read
        raise RwmError(f"directory {directory}: {error.strerror}", hint=disk_hint(error)) from error
    finally:
        os.close(number)


def disk_hint(error: OSError) -> str:
    """What to do about an error of the filesystem; empty if nothing is known."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "free some space, then run the same command again: what is restored is kept" if is_full else ""


def reason_not_private(found: os.stat_result) -> str | None:
    """Why others may change a file or directory; None if they may not."""
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    if found.st_mode & _WRITABLE_BY_OTHERS:
        return f"can be written to by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return None


def _lock(number: int, directory: Path) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockHeld(f"another restore writes to directory {directory}", hint="wait until it has ended") from error
    except OSError:  # a filesystem without locks
        return


def create_file(directory: int, name: str) -> IO[bytes]:
    """Create a file with mode 0600. Raises FileExistsError where the name is taken, also by a symbolic link."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(name, flags, 0o600, dir_fd=directory), "w+b")


def open_file(directory: int, name: str) -> IO[bytes] | None:
    """Open a file to read it; None if there is none. Raises OSError, FileExistsError for what is no regular file."""
    try:
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise FileExistsError(errno.EEXIST, "it is no regular file", name)
    return file


def place_file(source: int, name: str, target: int, target_name: str, *, replace: bool) -> None:
    """Move a complete file to its directory and name. Raises FileExistsError for a taken name, unless ``replace``."""
    if not replace:
        try:
            os.link(name, target_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            os.unlink(name, dir_fd=source)
            return
    os.rename(name, target_name, src_dir_fd=source, dst_dir_fd=target)


def list_directory(directory: int) -> dict[str, os.stat_result]:
    """What is in the directory, by name; symbolic links are not followed."""
    with os.scandir(directory) as found:
        return {item.name: item.stat(follow_symlinks=False) for item in found}
