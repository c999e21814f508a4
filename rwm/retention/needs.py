"""Until when versions are needed: the latest time until which a kept state has them. Pure.

A version is in the states of one or two ranges of each location (see :mod:`rwm.index.schema`), so the answer for it is
the maximum over ranges. It costs the same however many states there are; states times versions are never enumerated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rwm.model import StateInfo

FOREVER = 1 << 62
"""``kept_until`` of a state that is kept without an end, in milliseconds."""

NOT_NEEDED = 0


class KeptUntil:
    """Until when each of some states is kept, oldest state first: ``NOT_NEEDED`` for one that is not kept.

    Answers for a range of states, from a table of maxima of ranges whose lengths are powers of two. Its size is that of
    the states times the logarithm of their number.
    """

    def __init__(self, times: Sequence[int]) -> None:
        self._maxima = [list(times)]
        length = 1
        while 2 * length <= len(times):
            below = self._maxima[-1]
            self._maxima.append([max(below[n], below[n + length]) for n in range(len(below) - length)])
            length *= 2

    def latest(self, positions: range) -> int:
        """The latest time until which one of these states is kept."""
        if not positions:
            return NOT_NEEDED
        level = len(positions).bit_length() - 1
        maxima = self._maxima[level]
        return max(maxima[positions.start], maxima[positions.stop - (1 << level)])


def keep_forever(states: Iterable[StateInfo], kept: Iterable[StateInfo]) -> KeptUntil:
    """As if the kept ones of some states, which come oldest first, were kept without an end."""
    ids = {info.id for info in kept}
    return KeptUntil([FOREVER if info.id in ids else NOT_NEEDED for info in states])


def needed_versions(ranges: Iterable[tuple[str, range]], kept_until: KeptUntil) -> dict[str, int]:
    """Until when each version of a key is needed, by version id; what no kept state needs is left out.

    ``ranges`` are version ids, each with the positions of states of one location that have the version.
    """
    found: dict[str, int] = {}
    for version_id, positions in ranges:
        until = kept_until.latest(positions)
        if until > found.get(version_id, NOT_NEEDED):
            found[version_id] = until
    return found
