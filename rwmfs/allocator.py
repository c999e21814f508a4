"""Memory that is given back."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8  # malloc.h of the GNU C library


def share() -> None:
    """Let all threads allocate from one arena, where the C library has several.

    A mount's threads fetch large pieces that others let go of. With an arena for each, what is free in one is no use to
    the others: that took half as much again as the pieces do.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
