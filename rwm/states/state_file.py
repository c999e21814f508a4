"""State files in a bucket, as a listing shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rwm.statefile import FileName


class StateFile(NamedTuple):
    """A version of a state file in the bucket. ``uploaded`` in milliseconds; the original tool's have no ``name``."""

    key: str
    version_id: str
    size: int
    uploaded: int
    name: FileName | None

    @property
    def prefix(self) -> str:
        """The only prefix that it may be about."""
        return self.name.prefix if self.name else ""

    @property
    def ledger_key(self) -> str:
        """Its name in the index's ledger."""
        return f"{self.key}@{self.version_id}"


def by_prefix(files: Iterable[StateFile]) -> dict[str, list[StateFile]]:
    """The files by the prefix of their states."""
    found: dict[str, list[StateFile]] = {}
    for file in files:
        found.setdefault(file.prefix, []).append(file)
    return found
