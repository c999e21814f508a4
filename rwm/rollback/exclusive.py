"""One change of a bucket at a time on this computer: a second one would take the first for an interrupted one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rwm.errors import LockHeld, UsageError


@contextmanager
def hold_bucket(index: Path, bucket: str) -> Iterator[None]:
    """Hold a lock file of the bucket beside the index during the block; the kernel frees it when the process ends.

    Raises LockHeld at once if another process holds it, UsageError if it cannot be made.
    """
    path = index.with_name(f".{index.name}-{bucket}.lock")
    try:
        number = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"lock file {path}: {error.strerror}", hint="set another index_path") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise LockHeld(
            f"another restore changes bucket {bucket}", hint="wait until it has ended, then run the command again"
        ) from error
    try:
        yield
    finally:
        os.close(number)
