"""Which version of a key is current at a time. Pure.

The listing order of the server (newest first) decides, never the times alone: versions of one key that were
written concurrently can carry non-monotonic times (seen on Ceph RGW).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, compress
from operator import gt, ne

from rwm.model import Entry, EntryBatch, ListedClasses, ObjectVersion, VersionBatch
from rwm.times import SECOND


def current_at(history: Iterable[ObjectVersion], second: int, *, born_later: bool) -> Entry | None:
    """The version of one key that was current at the end of ``second``; None if the key was absent.

    The specification of :func:`current_entries`, which applies it to a listing: tests compare the two. ``history`` has
    the key's entries as listed, newest first, and is read no further than needed. ``second`` is a whole second in
    milliseconds, and counts to its end, because some servers have no finer times.

    The first listed entry written by the end of that second decides; a delete marker means absent. A key without such
    an entry was created later. With ``born_later`` its oldest version is taken, so that a capture loses nothing that
    is written meanwhile; otherwise it is absent, as in a state of the past.
    """
    end = second + SECOND
    oldest: ObjectVersion | None = None
    for version in history:
        if version.last_modified < end:
            return None if version.is_marker else as_entry(version)
        if not version.is_marker:
            oldest = version
    return as_entry(oldest) if oldest and born_later else None


def as_entry(version: ObjectVersion) -> Entry:
    """The version as an entry of a state."""
    return Entry(version.key, version.version_id, version.size, version.etag, version.last_modified)


def current_entries(
    batches: Iterable[VersionBatch], second: int, *, born_later: Callable[[str], bool]
) -> Iterator[EntryBatch | ListedClasses]:
    """Apply the rule of :func:`current_at` to each key of a listing. The resulting entries have no order.

    ``born_later`` is asked for keys that were created later.
    The versions of a key are consecutive, in one batch or in several. The storage classes of all versions, current or
    not, are passed on batch by batch, to bound memory.
    """
    end = second + SECOND
    decided = ""  # key of the last version so far that was written by the end
    unborn: dict[str, ObjectVersion] = {}  # of keys without such a version so far: the oldest version
    for batch in batches:
        if classes := ListedClasses.of(batch):
            yield classes
        written, previous = batch, decided
        if max(batch.last_modified) >= end:
            written = VersionBatch.of([version for version in batch if version.last_modified < end])
            later = [version for version in batch if version.last_modified >= end and not version.is_marker]
            unborn.update({version.key: version for version in later if born_later(version.key)})
        if written:
            decided = written.keys[-1]
            yield from _first_of_each(written, previous)
        if unborn:
            for key in {previous, *written.keys} & unborn.keys():
                del unborn[key]
            unfinished = unborn.pop(batch.keys[-1], None)
            yield from _batch(map(as_entry, unborn.values()))
            unborn = {unfinished.key: unfinished} if unfinished else {}
    yield from _batch(map(as_entry, unborn.values()))


def _first_of_each(batch: VersionBatch, previous: str) -> Iterator[EntryBatch]:
    """The first version of each key except ``previous``, without delete markers."""
    is_first = map(ne, batch.keys, chain([previous], batch.keys))
    is_current = list(map(gt, is_first, batch.is_marker))
    if all(is_current):
        yield EntryBatch(batch.keys, batch.version_ids, batch.sizes, batch.etags, batch.last_modified)
    elif any(is_current):
        yield EntryBatch(
            list(compress(batch.keys, is_current)),
            list(compress(batch.version_ids, is_current)),
            list(compress(batch.sizes, is_current)),
            list(compress(batch.etags, is_current)),
            list(compress(batch.last_modified, is_current)),
        )


def _batch(entries: Iterable[Entry]) -> Iterator[EntryBatch]:
    """One batch; none without entries."""
    found = list(entries)
    if found:
        yield EntryBatch.of(found)
