"""What an object version is called within one bucket."""

from __future__ import annotations

from typing import NamedTuple


class ObjectId(NamedTuple):
    """An object version as the state records it, with its size in bytes.

    The ETag belongs to it because a version with the id ``null`` may be overwritten in place.
    """

    key: str
    version_id: str
    size: int
    etag: str
