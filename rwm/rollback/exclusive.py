"""One change of a bucket at a time on this computer: a second one would take the first for an interrupted one."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rwm.errors import LockHeld, UsageError
from rwm.location import Location


@contextmanager
def hold_bucket(index: Path, bucket: str) -> Iterator[None]:
    """Hold a lock file of the bucket beside the index during the block; the kernel frees it when the process ends.

    Raises LockHeld at once if another process holds it, UsageError if it cannot be made.
    """
    with _hold(index, bucket, f"bucket {bucket}"):
        yield


@contextmanager
def hold_target(index: Path, target: Location) -> Iterator[None]:
    """The same for a location to which a state is copied. A run aborts what an earlier one left of uploads in parts.

    Other locations of the bucket are other targets. Without a lock where the index cannot be written.
    """
    prefix = hashlib.sha256(target.prefix.encode()).hexdigest()[:16]
    with ExitStack() as stack:
        with suppress(UsageError):
            stack.enter_context(_hold(index, f"{target.bucket}-{prefix}", str(target)))
        yield


@contextmanager
def _hold(index: Path, name: str, what: str) -> Iterator[None]:
    path = index.with_name(f".{index.name}-{name}.lock")
    try:
        number = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"lock file {path}: {error.strerror}", hint="set another index_path") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise LockHeld(
            f"another restore changes {what}", hint="wait until it has ended, then run the command again"
        ) from error
    try:
        yield
    finally:
        os.close(number)
