"""Whether the next object will be read whole, judged by the last few. Pure."""

from __future__ import annotations

from collections import deque

HISTORY = 4
"""Objects that are looked back at."""

WHOLE_FRACTION = 0.8
"""Part of an object that has to be read to count as read whole."""


class AccessPattern:
    """How the last few objects of a mount were read. The reader reports each close.

    It leaves out small objects, which are fetched whole anyway.
    """

    def __init__(self) -> None:
        self._read_whole: deque[bool] = deque(maxlen=HISTORY)

    def record_close(self, size: int, bytes_read: int) -> None:
        """Record that an object of ``size`` bytes was closed after ``bytes_read`` of them were read."""
        self._read_whole.append(bytes_read >= size * WHOLE_FRACTION)

    @property
    def reads_whole(self) -> bool:
        """Whether to expect a whole read: at least two of the last objects were read whole, and all but one."""
        return sum(self._read_whole) >= max(2, len(self._read_whole) - 1)
