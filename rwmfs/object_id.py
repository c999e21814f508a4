"""The identity of what a mount reads: one version of one object."""

from __future__ import annotations

from typing import NamedTuple


class ObjectId(NamedTuple):
    """An object version as the state records it.

    Size and ETag belong to it because a version without an id of its own (``null``) can be overwritten in place.
    """

    key: str
    version_id: str
    size: int
    """Bytes."""

    etag: str
