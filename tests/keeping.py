"""Keep rules for tests."""

from __future__ import annotations

from rwm.trust import KeepPolicy


def keep_last(count: int) -> KeepPolicy:
    """The rules that keep the newest states."""
    return KeepPolicy({"last": str(count)})
