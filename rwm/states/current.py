"""Which version of a key is current at a time: the rule of a capture. Pure.

The listing order of the server (newest first) decides, never the times alone: versions of one key that were
written concurrently can carry non-monotonic times (seen on Ceph RGW).
"""

from __future__ import annotations

from collections.abc import Iterable

from rwm.model import Entry, ObjectVersion
from rwm.times import SECOND


def current_at(history: Iterable[ObjectVersion], second: int, *, born_later: bool) -> Entry | None:
    """The version of one key that was current at the end of ``second``, or None when the key was absent.

    ``history`` gives the key's entries as listed, newest first, and is read no further than needed. ``second`` is a
    whole second in milliseconds; it counts as a whole, because some servers know no finer times.

    The first entry written by the end of that second decides; a delete marker means absent. A key without such
    an entry was born later: with ``born_later`` its oldest version is taken (a capture that runs while objects
    are written loses nothing), otherwise it is absent (a state of the past).
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
