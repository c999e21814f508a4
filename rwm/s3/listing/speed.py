"""Choosing the number of connections that list a large prefix, by measured speed. Pure."""

from __future__ import annotations

from collections.abc import Mapping

WIDTHS = (1, 4, 8, 16)
"""Numbers of connections to try, in this order."""

_GAIN = 1.15  # a smaller gain may be noise, and does not justify the load on the server


def next_width(speeds: Mapping[int, float]) -> int | None:
    """The number of connections to try next, or None to use :func:`best_width`.

    ``speeds`` are the keys per second that were measured with each number so far.
    """
    tried = [width for width in WIDTHS if width in speeds]
    if len(tried) > 1 and speeds[tried[-1]] < speeds[tried[-2]] * _GAIN:
        return None
    left = WIDTHS[len(tried) :]
    return left[0] if left else None


def best_width(speeds: Mapping[int, float]) -> int:
    """The smallest number of connections that no larger one was clearly faster than."""
    best = WIDTHS[0]
    for width in WIDTHS[1:]:
        if width in speeds and speeds[width] >= speeds[best] * _GAIN:
            best = width
    return best
