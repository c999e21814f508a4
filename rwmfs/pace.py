"""How many bytes to ask for at once, told from how fast they came lately. Pure.

A request costs a few milliseconds of the processor and a round trip, whatever its size. Over a slow link an object
comes sooner in several small ones side by side; over a fast one that only costs.
"""

from __future__ import annotations

CONNECTIONS = 16
"""Requests at once, unless the user says otherwise."""

LEAST = 4 * 1024 * 1024
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

    @property
    def window(self) -> int:
        """Bytes of one request at most: a multiple of LEAST."""
        return min(max(int(self._rate * SECONDS) // LEAST * LEAST, LEAST), MOST)
