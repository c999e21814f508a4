"""Counts and lists within sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 3


def name_some(items: Sequence[object], limit: int = NAMED, separator: str = ", ") -> str:
    """The first items, and how many more there are: ``a, b, c and 12 more``. One more is named instead."""
    shown = items if len(items) <= limit + 1 else items[:limit]
    more = f" and {len(items) - len(shown)} more" if len(shown) < len(items) else ""
    return separator.join(map(str, shown)) + more


def format_count(number: int, noun: str, plural: str = "") -> str:
    """``1 state``, ``2 states``."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
