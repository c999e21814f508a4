"""The stages in which a prune deletes."""

from __future__ import annotations

from enum import IntEnum

from rwm.trust import SUCCEEDED, Kind


class Stage(IntEnum):
    """The order of execution: a stage begins when the one before it has ended.

    Versions go before the markers that hide them. Indexes, key files and locks go after everything that the audit
    judges by them, so that it finds no proof in a bucket whose prune was interrupted.
    """

    VERSIONS = 1
    MARKERS = 2
    INDEX_VERSIONS = 3
    INDEX_MARKERS = 4
    LOCK_VERSIONS = 5
    LOCK_MARKERS = 6

    @classmethod
    def of(cls, kind: Kind | None, *, is_marker: bool) -> Stage:
        """The stage of an entry of a file of this kind, None for what is no file of a repository."""
        group = 2 if kind is Kind.LOCKS else int(kind in SUCCEEDED)
        return cls(1 + 2 * group + is_marker)

    @property
    def is_marker(self) -> bool:
        """Whether the stage deletes markers."""
        return self % 2 == 0

    @property
    def is_by_time(self) -> bool:
        """Whether what was replaced or deleted first must go first.

        When an index was removed, the audit wants another one that was left, so that one must go later.
        """
        return self is Stage.INDEX_VERSIONS
