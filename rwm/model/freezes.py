"""Frozen buckets and accounts."""

from __future__ import annotations

from typing import Any, NamedTuple


class FrozenUser(NamedTuple):
    """An account that may write nothing in a bucket until it is thawed. ``user`` is a principal of the policy.

    ``reads`` says whether it may still read; ``since`` is the server's time in milliseconds.
    """

    user: str
    reads: bool
    since: int
    note: str


class Freeze(NamedTuple):
    """A frozen bucket: its policy (None: it had none) and lifecycle rules before, and who is frozen.

    Without ``users`` a thaw has begun, and its end is not recorded.
    """

    bucket: str
    admin: str
    policy: dict[str, Any] | None
    lifecycle: list[dict[str, Any]]
    users: tuple[FrozenUser, ...] = ()
