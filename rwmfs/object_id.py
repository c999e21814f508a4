"""What a mount reads: one version of one object."""

from __future__ import annotations

from typing import NamedTuple


class ObjectId(NamedTuple):
    """An object version as the state records it. ``size`` is in bytes.

    Size and ETag are part of it because a version without a name of its own (``null``) can be overwritten in place.
    """

    key: str
    version_id: str
    size: int
    etag: str
