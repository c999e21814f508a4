"""Ranges of time that a server's clock has passed twice, because it was set back. Pure.

Only the server writes times, so nobody else can make one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rwm.model import ObjectVersion
from rwm.times import SECOND

SLACK = 2 * SECOND
"""Milliseconds by which times of concurrent writes may be in another order than the writes (Ceph RGW)."""


class Folds:
    """Such ranges, in milliseconds; those that overlap are one."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add_history(self, entries: Sequence[ObjectVersion]) -> None:
        """Add what the entries of a key show, newest first. A ``null`` version shows nothing, SeaweedFS lists it last.

        The order of the listing is right, whatever the times say.
        """
        for newer, older in pairwise(entries):
            if newer.last_modified + SLACK < older.last_modified and "null" not in (newer.version_id, older.version_id):
                self.add(newer.last_modified, older.last_modified)

    def add(self, start: int, end: int) -> None:
        """Add a range: something written at ``start`` came after something written at ``end``."""
        apart = []
        for one in self._ranges:
            if one[0] <= end and start <= one[1]:
                start, end = min(start, one[0]), max(end, one[1])
            else:
                apart.append(one)
        self._ranges = [*apart, (start, end)]

    def __contains__(self, second: int) -> bool:
        """Whether a second may lie in a range.

        The clock had gone on for an unknown time when it was set back. A range counts with its length twice.
        """
        return any(start - SECOND < second <= end + (end - start) for start, end in self._ranges)
