"""The protocol of a reader of object versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class ObjectReader(Protocol):
    """Reads object versions of one bucket, and has no other operation. Thread-safe."""

    bucket: str

    def read_range(
        self,
        key: str,
        version_id: str,
        start: int,
        stop: int,
        wanted: Callable[[], bool] = lambda: True,
        etag: str = "",
    ) -> bytes | memoryview:
        """Read the bytes from ``start`` to ``stop`` (exclusive) of a version: exactly ``stop - start`` bytes.

        ``etag`` is the listed one. For the version ``null`` it is compared if it is an MD5 sum: a write without
        versioning overwrites that version, so the version id alone does not identify the content.

        ``wanted`` is polled during the request; Cancelled is raised once it returns False. Raises NotFound if the
        version does not exist, AccessDenied, Unreachable without a usable answer, BadResponse for an invalid one.
        """
