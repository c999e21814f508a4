"""How many bytes to ask for at once, told from how fast they came lately, and how many connections are free. Pure.

A request costs a few milliseconds of the processor and a round trip, whatever its size. Over a slow link an object
comes sooner in several small ones side by side; over a fast one, or where others use the connections, that only costs.
"""

from __future__ import annotations

CONNECTIONS = 16
"""Requests at once, unless the user says otherwise."""

LEAST = 2 * 1024 * 1024
USUAL = 4 * 1024 * 1024
MOST = 16 * 1024 * 1024
SECONDS = 0.15
"""What a request should take, its first byte included."""

TELLING = 1024 * 1024
"""Bytes below which an answer says more of the wait for its first byte than of the link."""

_NEWEST = 0.25
"""The weight of an answer beside all before it."""


class Pace:
    """The answers of one mount."""

    def __init__(self) -> None:
        self._rate = 0.0  # bytes a second, of one connection

    def came(self, size: int, seconds: float) -> None:
        """So many bytes came in one answer."""
        if size >= TELLING:
            rate = size / max(seconds, 1e-6)
            self._rate = rate if not self._rate else self._rate + (rate - self._rate) * _NEWEST

    def window(self, running: int, connections: int) -> int:
        """Bytes of one request at most, while ``running`` of the connections are in use: a multiple of LEAST.

        Less than USUAL over a link that is known to be slow, and while a quarter of the connections is free.
        """
        window = min(int(self._rate * SECONDS) // USUAL * USUAL, MOST)
        return window or (LEAST if self._rate and running < connections * 3 // 4 else USUAL)
