"""How many bytes to ask for at once, told from whence and how fast they came lately, and what is free. Pure.

A request costs a few milliseconds of the processor and a round trip, whatever its size. Over a slow link an object
comes sooner in several small ones side by side; over a fast one, or where others use the connections, that only costs.
What the cache on disk has costs none, so as long as it has everything large parts are best.
"""

from __future__ import annotations

LEAST = 2 * 1024 * 1024
USUAL = 4 * 1024 * 1024
MOST = 16 * 1024 * 1024
SECONDS = 0.15
"""What a request should take, its first byte included."""

TELLING = 1024 * 1024
"""Bytes below which an answer says more of the wait for its first byte than of the link."""

HITS = 3
"""Parts one after the other that the cache on disk has before the next ones are expected to be there."""

_NEWEST = 0.25
"""The weight of an answer beside all before it."""


class Pace:
    """The answers of one mount."""

    def __init__(self) -> None:
        self._rate = 0.0  # bytes a second, of one connection
        self._hits = 0

    def from_disk(self) -> bool:
        """Whether all that was read lately was in the cache on disk."""
        return self._hits >= HITS

    def stored(self, size: int) -> None:
        """So many bytes were in the cache on disk."""
        self._hits += size >= TELLING

    def came(self, size: int, seconds: float) -> None:
        """So many bytes came in one answer."""
        if size >= TELLING:
            self._hits = 0
            rate = size / max(seconds, 1e-6)
            self._rate = rate if not self._rate else self._rate + (rate - self._rate) * _NEWEST

    def window(self, running: int, connections: int) -> int:
        """Bytes of one part at most, while ``running`` of the connections are in use: a multiple of LEAST.

        Less than USUAL over a link that is known to be slow, and while a quarter of the connections is free.
        """
        if self.from_disk():
            return MOST
        window = min(int(self._rate * SECONDS) // USUAL * USUAL, MOST)
        return window or (LEAST if self._rate and running < connections * 3 // 4 else USUAL)
