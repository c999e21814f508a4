"""Transfer the entries of a state in parallel: faults of single objects are collected, faults of all are raised."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from rwm.errors import AccessDenied, Archived, RwmError, Unreachable
from rwm.model import Entry

THREADS = 8

MAX_FAILURES_AT_START = 16
"""Consecutive denied or unreachable objects at the start, after which the fault is considered a general one."""

MAX_FAILURES_IN_A_ROW = 100
"""The same after an object was restored: the server is down, or the account lost its permission."""

_NAME_ERRORS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""Errors of one file name: too long, not encodable, or equal to another one on a case-insensitive filesystem."""

Progress = Callable[[int], None]


@dataclass
class RestoreResult:
    """What was restored; ``failures`` are (key, reason). ``bytes`` and ``objects`` include hidden keys.

    Hidden keys are in the directory ``hidden_directory``, below the target; ``hidden`` counts them. ``archived`` counts
    the failures of objects in an archive class.
    """

    objects: int = 0
    bytes: int = 0
    hidden: int = 0
    hidden_directory: str = ""
    archived: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def transfer_entries(
    entries: Iterator[Entry],
    transfer: Callable[[Entry], None],
    result: RestoreResult,
    progress: Progress,
    stop: threading.Event | None = None,
) -> None:
    """Call ``transfer`` for every entry, in several threads, and record the outcome in ``result``.

    AccessDenied and Unreachable may concern one object (a machine may have written one that nobody else can read) or
    all. They are raised when too many come one after the other, or when every object of a small state has one.
    Other errors of one object are recorded. ``stop`` is set when no more transfers are wanted.
    """
    consecutive: list[RwmError] = []  # errors that may concern all objects
    pool = ThreadPoolExecutor(THREADS)
    try:
        for batch in iter(lambda: list(islice(entries, 16 * THREADS)), []):
            for entry, future in [(entry, pool.submit(transfer, entry)) for entry in batch]:
                try:
                    future.result()
                except RwmError as error:
                    result.failures.append((entry.key, error.message))
                    result.archived += isinstance(error, Archived)
                    if not isinstance(error, AccessDenied | Unreachable):
                        consecutive.clear()
                        continue
                    consecutive.append(error)
                    if len(consecutive) >= (MAX_FAILURES_IN_A_ROW if result.objects else MAX_FAILURES_AT_START):
                        raise type(error)(
                            f"{error.message}; {len(consecutive)} consecutive failures, "
                            f"{result.objects} objects restored",
                            hint=error.hint,
                        ) from error
                except OSError as error:
                    if error.errno not in _NAME_ERRORS:
                        raise RwmError(f"{entry.key}: {error.strerror}") from error
                    result.failures.append((entry.key, error.strerror or str(error)))
                    consecutive.clear()
                else:
                    result.objects += 1
                    result.bytes += entry.size
                    consecutive.clear()
                finally:
                    progress(1)
    finally:
        if stop:
            stop.set()
        pool.shutdown(cancel_futures=True)
    if consecutive and len(consecutive) == len(result.failures) and not result.objects:
        raise consecutive[-1]  # fewer than the limit, but there are no more
