"""The prefetch depth, adapted to hits and misses. Pure.

Over a slow link a pack has to be fetched long before it is opened. Over a fast one a large depth only fills memory, and
wastes more when the reader stops.
"""

from __future__ import annotations

MIN_PACKS = 3
MAX_PACKS = 8


class PrefetchDepth:
    """How many packs to prefetch ahead of the readers. The prefetcher reports each open of a predicted pack."""

    def __init__(self) -> None:
        self.packs = MIN_PACKS
        """The depth, in packs."""

    def adapt(self, *, is_hit: bool, are_others_buffered: bool) -> None:
        """Adapt the depth to the open of a predicted pack.

        ``is_hit`` if all of it was in memory, ``are_others_buffered`` if all other prefetched packs are too.
        """
        if not is_hit:
            self.packs = min(self.packs + 1, MAX_PACKS)
        elif are_others_buffered:
            self.packs = max(self.packs - 1, MIN_PACKS)
