"""A sample of the versions of a repository, for questions that a server answers for one version at a time. Pure.

The sample is the same in every audit while nothing is written, so acknowledgements of its findings stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappush, heappushpop
from zlib import crc32

from rwm.model import ObjectVersion

SAMPLED = 16
"""Versions of each repository that are taken from all of it, and again from the newest ones."""


class VersionSample:
    """Chooses versions from all that are added: those with the lowest hashes, and the newest ones."""

    def __init__(self) -> None:
        self._hashed: list[tuple[int, ObjectVersion]] = []
        self._newest: list[tuple[int, ObjectVersion]] = []

    def add(self, history: Iterable[ObjectVersion]) -> None:
        """Add the versions of a key."""
        for version in history:
            if not version.is_marker:
                name = f"{version.key}\0{version.version_id}"
                _offer(self._hashed, -crc32(name.encode(errors="surrogatepass")), version)
                _offer(self._newest, version.last_modified, version)

    def versions(self) -> list[ObjectVersion]:
        """The chosen versions, sorted."""
        return sorted({version for _, version in (*self._hashed, *self._newest)})


def _offer(heap: list[tuple[int, ObjectVersion]], rank: int, version: ObjectVersion) -> None:
    """Keep the highest ranks."""
    if len(heap) < SAMPLED:
        heappush(heap, (rank, version))
    elif rank > heap[0][0]:
        heappushpop(heap, (rank, version))
