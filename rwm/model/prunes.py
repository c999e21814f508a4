"""What is kept of a prune."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rwm.location import Location


class PrunedState(NamedTuple):
    """A state that lost versions to a prune: its id, its time and that of the prune, in milliseconds."""

    id: str
    captured_at: int
    pruned_at: int


class PruneReport(NamedTuple):
    """A prune: when it began and ended by the server's clock (None: it was interrupted), what it kept and deleted.

    Times are in milliseconds. ``removed`` counts versions and markers by why they were deleted
    (:data:`rwm.prune.key_plan.Why`). ``overridden`` are the findings in spite of which it was run.
    """

    id: str
    location: Location
    at: int
    cutoff: int
    kept_states: tuple[str, ...]
    lost_states: tuple[PrunedState, ...]
    overridden: tuple[str, ...] = ()
    ended_at: int | None = None
    versions: int = 0
    markers: int = 0
    bytes: int = 0
    removed: Mapping[str, int] = {}
    failures: Mapping[str, int] = {}
    """Numbers of versions and markers that were not deleted, by error code; ``locked``: they are locked."""
    left: int = 0
    """What was not tried because of failures."""
    uploads: int = 0
    """Unfinished uploads that were aborted."""
