"""A state without its entries: where it came from, whether it is true, and what an audit says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from rwm.location import Location
from rwm.model.audits import Verdict
from rwm.times import DAY, SECOND

Origin = Literal["backup", "capture", "past", "original"]
"""What made a state: ``rwm backup``, ``rwm state capture``, the same from history (``--at``), or the original tool."""

Outcome = Literal["ok", "partial", "failed"]
"""The outcome of the backup after which a state was captured."""


Trust = Literal["own", "unchecked", "verified", "unknown", "contradicted"]
"""Whether a recorded state is known to be true: captured with this index (own), not compared with the bucket's own
history yet (unchecked), or compared: all entries agree (verified), some versions are gone from the history (unknown),
some entries differ (contradicted).
"""


MAX_LISTING = DAY // 4
"""Maximum duration of a listing by the original tool, in milliseconds: its states have what was current at any time
from their second to then, key by key."""

SHORT_ID = 12
"""Digits of a state's id where it is shown to people."""

LATEST, LAST_CLEAN = "latest", "last-clean"
"""Names of states that need a location: the newest one, and the newest one that an audit found clean there."""


@dataclass(frozen=True, slots=True)
class StateInfo:
    """A state without its entries, which are all below ``prefix`` (:class:`rwm.location.Location`).

    ``captured_at`` is a whole second; ``outcome`` is None without a backup.
    """

    id: str
    bucket: str
    captured_at: int
    origin: Origin
    objects: int
    bytes: int
    outcome: Outcome | None = None
    prefix: str = ""

    @property
    def short(self) -> str:
        """The beginning of the id, as it is shown to people."""
        return self.id[:SHORT_ID]

    @property
    def location(self) -> Location:
        """What the state is of."""
        return Location(self.bucket, self.prefix)

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last time as of which the state may be, in milliseconds: the end of its second."""
        end = self.captured_at // SECOND * SECOND + SECOND - 1
        return end, end + MAX_LISTING if self.origin == "original" else end

    def part(self, prefix: str | None) -> Location:
        """What it has below ``prefix``; all of it for None. Raises ValueError if the state does not cover that."""
        part = self.location if prefix is None else Location(self.bucket, prefix)
        if not self.location.covers(part):
            raise ValueError(f"state {self.short} of {self.location} does not cover {part}")
        return part


class StoredFile(NamedTuple):
    """The file of a state in its bucket: compressed size, and the id of a delta's base state (None: a full file)."""

    size: int
    base: str | None


@dataclass(frozen=True, slots=True)
class RecordedState:
    """A state in an index. ``checked_at`` is when it was compared with the bucket's history, None if it was not.

    ``verdict`` is that of the last audit, at ``audited_at``, on what the state has below the location that was asked
    for; None if no audit judged it.
    """

    info: StateInfo
    trust: Trust
    checked_at: int | None = None
    verdict: Verdict | None = None
    audited_at: int | None = None

    def is_confirmed_for(self, location: Location) -> bool:
        """Whether it covers the location and has anything, and was captured here or confirmed by the history."""
        return self.info.location.covers(location) and self.trust in ("own", "verified") and self.info.objects > 0
