"""The lock that allows one run at a time. The kernel releases it when the process ends, however that happens."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rwm.errors import ConfigError, LockHeld
from rwm.private import make_private_directory

_HINT = "wait until it has ended, or set another lock_path for a backup that may run at the same time"


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock file during the block. Raises LockHeld at once if another process holds it."""
    if not path.parent.exists():
        make_private_directory(path.parent, hint="set another lock_path")
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"lock file {path}: {error.strerror}", hint="set another lock_path") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"another run holds the lock {path}", hint=_HINT) from error
        yield
    finally:
        os.close(descriptor)
