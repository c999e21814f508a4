"""Capture: list a location and record its state as of a past second, in the bucket and in the index."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from threading import Lock

from rwm.errors import AccessDenied, BadResponse, Refused, UsageError
from rwm.index import CaptureSpool, Index, ObservedEntries
from rwm.layout import is_restic_name
from rwm.location import Location
from rwm.model import EntryBatch, ListedClasses, ObjectVersion, Origin, Outcome, StateInfo, VersionBatch
from rwm.private import path_of, temporary_file
from rwm.s3 import S3, read_clock
from rwm.s3.listing import Lister, list_in_phases
from rwm.statefile import INTEGER_LIMIT, StateDigest
from rwm.states.current import current_entries
from rwm.states.publish import publish_state
from rwm.times import SECOND, iso

_DISCOVERY_LIMIT_PAST = 100
"""Directories that are visited to find repositories when the order does not matter, only the speed."""

_COLLECT_AFTER = 20_000  # objects: some pages of entries, about 2 MB

Progress = Callable[[int, int], None]


def capture_state(
    s3: S3,
    index: Index,
    location: Location,
    *,
    at: int | None = None,
    origin: Origin = "capture",
    outcome: Outcome | None = None,
    needs_file: bool = True,
    concurrency: int | None = None,
    lister: Lister | None = None,
    progress: Progress = lambda count, size: None,
    warn: Callable[[str], None] = lambda text: None,
) -> StateInfo:
    """Record the state of the location now, or as it was at the time ``at`` (milliseconds), in bucket and index.

    ``concurrency`` connections list each ``data/``; None means to measure which number is fastest. ``lister`` lists in
    place of ``s3``: a listing from after ``at`` that was kept.

    The copy in the bucket is written first, because a lost index can be rebuilt from it. Without ``needs_file`` keys
    that may not write record the state in the index alone, with a warning. Keys that the listing cannot
    tell are left out; ``s3.unknown_keys`` has them afterwards. ``progress`` is called with the number of versions
    listed since the last call and their bytes, ``warn`` with warnings for the user.
    Raises Refused for a bucket without versioning, NotFound for a prefix below which nothing is, UsageError for a
    directory of a repository and for a time that is not over, BadResponse for impossible sizes, and the errors of S3
    and of the index; nothing is recorded then.
    """
    bucket = location.bucket
    _check_versioning(s3, bucket, warn)
    second, listed_at = _second(s3, location, at)
    with closing(index.capture_spool()) as spool, _rare_garbage_collection():
        report, limit = _serialized(progress), None if at is None else _DISCOVERY_LIMIT_PAST
        read = partial(_current, second=second, is_past=at is not None, progress=report)
        for part in list_in_phases(lister or s3, location, read, concurrency=concurrency, discovery_limit=limit):
            spool.add(part)
        unknown = (key for key in s3.unknown_keys.below(location) if key.reason == "ambiguous")
        spool.discard(key.key for key in unknown if key.known_until < second + SECOND)
        objects, size = spool.totals()
        if size >= INTEGER_LIMIT:
            raise BadResponse(f"{location}: {objects} objects of {size} bytes are listed, which is impossible")
        info = StateInfo("", bucket, second, origin, objects, size, outcome, location.prefix)
        info = _record(s3, index, spool, info, None if needs_file else warn)
        index.storage_classes.record(location, spool.classes, listed_at)
        return info


def _check_versioning(s3: S3, bucket: str, warn: Callable[[str], None]) -> None:
    """Raise Refused for a bucket that never had versioning, and warn of one where it is suspended."""
    versioning = s3.versioning(bucket)
    if versioning == "Suspended":
        warn(f"versioning of bucket {bucket} is suspended: overwritten objects are lost, and no state can restore them")
    elif not versioning:
        raise Refused(
            f"bucket {bucket} has no versioning: overwritten objects are lost, and no state could restore them",
            hint=f"`rwm storage check {bucket}` shows what else is missing",
        )


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Let a page of entries not start the garbage collector, which took up to a tenth of the CPU time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _second(s3: S3, location: Location, at: int | None) -> tuple[int, int]:
    """The second of the state, and the server's time: the newest second that is over, or the one that contains ``at``.

    The clock is that of LastModified, with which the state is compared.
    """
    clock = read_clock(s3, location)
    if at is None:
        clock.wait_until_over(s3, location.bucket)
        return clock.second, clock.second
    second = at // SECOND * SECOND
    if second >= clock.second:
        raise UsageError(f"{iso(second)} is not over on the server, whose clock says {iso(clock.second)}")
    return second, clock.second


def _serialized(progress: Progress) -> Progress:
    """A thread-safe ``progress``, for the threads of a listing."""
    lock = Lock()

    def report(count: int, size: int) -> None:
        with lock:
            progress(count, size)

    return report


def _current(
    listed: Iterable[Sequence[ObjectVersion]],
    *,
    repository: str | None,
    second: int,
    is_past: bool,
    progress: Progress,
) -> Iterator[EntryBatch | ListedClasses]:
    """The current entries; memory does not grow with the number of versions of a key.

    Keys created later are taken only if they are a repository's own, because only those are listed in an order that is
    safe for it.
    """

    def born_later(key: str) -> bool:
        return repository is not None and not is_past and is_restic_name(key[len(repository) :])

    return current_entries(_counted(listed, progress), second, born_later=born_later)


def _counted(listed: Iterable[Sequence[ObjectVersion]], progress: Progress) -> Iterator[VersionBatch]:
    """Report each batch to ``progress``; skip empty ones."""
    for versions in listed:
        if versions:
            batch = VersionBatch.of(versions)
            progress(len(batch), sum(batch.sizes))
            yield batch


def _record(
    s3: S3, index: Index, spool: CaptureSpool, info: StateInfo, warn: Callable[[str], None] | None
) -> StateInfo:
    """One pass over the spool computes the id, finds the changes, and writes the file of a first state.

    With ``warn`` a state whose file may not be written is recorded all the same.
    """
    with temporary_file() as file:
        is_first = info.location not in index.locations(info.bucket)
        digest = StateDigest(info, file if is_first else None)
        pending = index.prepare(info, ObservedEntries(spool, digest.add))
        pending.info = info = digest.close()
        if index.has(info) and index.ledger.stored_file(info):
            return info
        file.flush()
        full = path_of(file) if is_first else None
        try:
            stored = publish_state(s3, index, spool, pending, full)
        except AccessDenied:
            if warn is None:
                raise
            warn(f"state {info.short} is in the index alone: these keys may not write to bucket {info.bucket}")
            stored = None
        pending.record("own", stored)
    return info
