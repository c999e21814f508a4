"""Whether the objects that are opened lately are read from end to end: what to expect of the next one. Pure."""

from __future__ import annotations

from collections import deque

LOOKED_AT = 4
WHOLE = 0.8
"""The part of an object that has to be read to call it read."""


class AccessPattern:
    """The last few objects. Small ones, which are fetched whole anyhow, do not count."""

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=LOOKED_AT)

    def closed(self, size: int, read: int) -> None:
        """An object of ``size`` bytes was closed after ``read`` of them were read."""
        self._last.append(read >= size * WHOLE)

    @property
    def reads_whole(self) -> bool:
        """Whether the next one will be read whole: two at least were, and not more than one of the last few was not."""
        return sum(self._last) >= max(2, len(self._last) - 1)
