"""Transfer the entries of a state in parallel: faults of single objects are collected, faults of all are raised."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from rwm.errors import AccessDenied, Archived, RwmError, Unreachable
from rwm.model import Entry
from rwm.phrases import format_count
from rwm.restore.private_directory import disk_hint

THREADS = 32
"""As many as the connections that the client keeps open: over a slow link, their number is the speed."""

IN_FLIGHT = 2
"""Entries for each thread that are taken before the outcome of the first one is known: the bound of memory."""

MAX_FAILURES_AT_START = 16
"""Consecutive denied or unreachable objects at the start, after which the fault is considered a general one."""

MAX_FAILURES_IN_A_ROW = 100
"""The same after an object was restored: the server is down, or the account lost its permission."""

_NAME_ERRORS = (
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP),
)
"""Errors of one file name: too long, not encodable, a symbolic link, or equal to another one where case is ignored."""

Progress = Callable[[int], None]

Transfer = Callable[[Entry], bool]
"""Restores an entry. False if the target already had it, True if it was transferred."""


@dataclass
class RestoreResult:
    """What was restored; ``failures`` are (key, reason). ``bytes`` and ``objects`` include hidden keys.

    ``kept`` of the objects were in the target already, from an earlier run. ``foreign`` are keys that somebody else
    wrote there meanwhile.
    Hidden keys are in the directory ``hidden_directory``, below the target; ``hidden`` counts them. ``archived`` counts
    the failures of objects in an archive class.
    """

    objects: int = 0
    bytes: int = 0
    kept: int = 0
    hidden: int = 0
    hidden_directory: str = ""
    archived: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def add(self, entry: Entry, *, kept: bool) -> None:
        """Count an object that is in the target."""
        self.objects += 1
        self.bytes += entry.size
        self.kept += kept


def transfer_entries(
    entries: Iterator[Entry],
    transfer: Transfer,
    result: RestoreResult,
    progress: Progress,
    stop: threading.Event | None = None,
) -> None:
    """Call ``transfer`` for every entry, in several threads, and record the outcomes in ``result`` in their order.

    AccessDenied and Unreachable may concern one object (a machine may have written one that nobody else can read) or
    all. They are raised when too many come one after the other, or when every object of a small state has one.
    Other errors of one object are recorded. ``stop`` is set when no more transfers are wanted.
    """
    outcomes = _Outcomes(result)
    running: deque[tuple[Entry, Future[bool]]] = deque()
    pool = ThreadPoolExecutor(THREADS)
    try:
        for entry in entries:
            running.append((entry, pool.submit(transfer, entry)))
            if len(running) >= IN_FLIGHT * THREADS:
                outcomes.take(*running.popleft())
                progress(1)
        while running:
            outcomes.take(*running.popleft())
            progress(1)
    finally:
        if stop:
            stop.set()
        pool.shutdown(cancel_futures=True)
    outcomes.raise_if_all_failed()


class _Outcomes:
    """Records the outcome of each transfer, and raises errors that concern all of them."""

    def __init__(self, result: RestoreResult) -> None:
        self._result = result
        self._consecutive: list[RwmError] = []  # errors that may concern all objects

    def take(self, entry: Entry, outcome: Future[bool]) -> None:
        """Wait for the outcome of one transfer."""
        try:
            self._result.add(entry, kept=not outcome.result())
        except RwmError as error:
            self._add_failure(entry, error)
        except OSError as error:
            if error.errno not in _NAME_ERRORS:
                raise self._disk_error(entry, error) from error
            self._result.failures.append((entry.key, error.strerror or str(error)))
            self._consecutive.clear()
        else:
            self._consecutive.clear()

    def _add_failure(self, entry: Entry, error: RwmError) -> None:
        self._result.failures.append((entry.key, error.why))
        self._result.archived += isinstance(error, Archived)
        if not isinstance(error, AccessDenied | Unreachable):
            self._consecutive.clear()
            return
        self._consecutive.append(error)
        restored = format_count(self._result.objects, "object")
        if len(self._consecutive) >= (MAX_FAILURES_IN_A_ROW if self._result.objects else MAX_FAILURES_AT_START):
            raise type(error)(
                f"{error.message}; {len(self._consecutive)} consecutive failures, {restored} restored",
                hint=error.hint,
            ) from error

    def _disk_error(self, entry: Entry, error: OSError) -> RwmError:
        restored = format_count(self._result.objects, "object")
        return RwmError(f"{entry.key}: {error.strerror}; restored: {restored}", hint=disk_hint(error))

    def raise_if_all_failed(self) -> None:
        """Raise the last error if every object of a small state has one that may concern all."""
        if self._consecutive and len(self._consecutive) == len(self._result.failures) and not self._result.objects:
            raise self._consecutive[-1]
