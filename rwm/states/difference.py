"""Differences between two states. Pure, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from rwm.model import Difference, Entry

Kind = Literal["+", "-", "M"]


def change_kind(difference: Difference) -> Kind:
    """``+`` only after, ``-`` only before, ``M`` another version."""
    if difference.before is None:
        return "+"
    return "-" if difference.after is None else "M"


def diff_states(before: Iterable[Entry], after: Iterable[Entry]) -> Iterator[tuple[Kind, str]]:
    """(kind, key) in key order: ``+`` only after, ``-`` only before, ``M`` another version.

    Both inputs are sorted by key.
    """
    old, new = iter(before), iter(after)
    left, right = next(old, None), next(new, None)
    while left or right:
        if right is None or (left is not None and left.key < right.key):
            assert left is not None
            yield "-", left.key
            left = next(old, None)
        elif left is None or right.key < left.key:
            yield "+", right.key
            right = next(new, None)
        else:
            if left != right:  # a `null` version that was overwritten in place keeps its id
                yield "M", left.key
            left, right = next(old, None), next(new, None)
