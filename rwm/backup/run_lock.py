"""One run at a time: a lock that goes away with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rwm.errors import ConfigError, LockHeld
from rwm.private import private_directory


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file for the block. Raises LockHeld at once when another process has it."""
    if not path.parent.exists():
        private_directory(path.parent)
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"lock file {path}: {error.strerror}", hint="set another lock_path") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"another run holds the lock {path}", hint="wait until it has ended") from error
        yield
    finally:
        os.close(handle)
