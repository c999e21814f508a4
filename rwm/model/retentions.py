"""Object Lock retention of versions."""

from __future__ import annotations

from typing import Literal, NamedTuple

LockMode = Literal["governance", "compliance"]
"""``governance``: whoever has the permission to bypass it may remove the lock; ``compliance``: nobody."""

LOCK_MODES: tuple[LockMode, ...] = ("governance", "compliance")


class Retention(NamedTuple):
    """That a version cannot be deleted before a time, in milliseconds."""

    mode: LockMode
    until: int


class RetentionChange(NamedTuple):
    """A retention that RWM sets, or has set, on a version."""

    key: str
    version_id: str
    retention: Retention


class LockableVersion(NamedTuple):
    """A version in states: the moments from which and until which it is in them, and the retention that RWM has set.

    See :mod:`rwm.index.schema` for moments. A version may be in several such ranges.
    """

    key: str
    version_id: str
    last_modified: int
    since: int
    until: int
    retention: Retention | None
