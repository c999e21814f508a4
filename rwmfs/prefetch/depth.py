"""How many packs to be ahead of the readers, told from whether a pack was here when it was opened. Pure.

Over a slow link a pack has to be on its way long before it is opened. Over a fast one that only fills the memory, and
fetches more in vain when the reader stops.
"""

from __future__ import annotations

FEW = 3
MOST = 8
"""Packs ahead."""


class PrefetchDepth:
    """What there was when packs were opened. ``packs`` is how many to be ahead."""

    def __init__(self) -> None:
        self.packs = FEW

    def opened(self, *, is_here: bool, others_are: bool) -> None:
        """A pack was opened that was here, all of it, or not; and whether all others ahead were here too."""
        if not is_here:
            self.packs = min(self.packs + 1, MOST)
        elif others_are:
            self.packs = max(self.packs - 1, FEW)
