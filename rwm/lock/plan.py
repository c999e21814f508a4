"""Plan locks: which versions get a retention, and until when. Reads the index, and no version from the server.

Memory grows with the number of states, not with that of versions: these are read key by key, once to count them and
once more while they are locked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rwm.index import Index, states_by_location
from rwm.location import Location
from rwm.lock.rules import LockTiming, next_retention, states_kept_until
from rwm.model import LockableVersion, LockMode, RetentionChange, StateInfo
from rwm.retention import NOT_NEEDED, KeptUntil, candidates, follows_rule, judge_by, needed_versions
from rwm.trust import KeepPolicy, LocationAudit


class DueLock(NamedTuple):
    """A retention to set, and when the version was written, in milliseconds."""

    change: RetentionChange
    written_at: int


@dataclass
class LockCost:
    """What a plan costs: ``needed`` versions, ``due`` requests.

    ``lapsed`` of the due ones had a lock that has ended. ``latest`` is the end of the longest new lock; 0 without any.
    """

    needed: int = 0
    due: int = 0
    lapsed: int = 0
    latest: int = 0


class _Place(NamedTuple):
    """The states of a location as positions: their moments, and until when each is kept."""

    prefix: str
    moments: Sequence[int]
    kept_until: KeptUntil

    def needs(self, versions: Sequence[LockableVersion]) -> dict[str, int]:
        """Until when the versions of a key are needed, by version id."""
        ranges = ((each.version_id, range(self._position(each.since), self._position(each.until))) for each in versions)
        return needed_versions(ranges, self.kept_until)

    def _position(self, moment: int) -> int:
        return bisect_left(self.moments, moment)


class LockPlan:
    """Which versions of the kept states are locked until when. ``kept_until`` is that of each kept state, by id.

    ``again``: also those that are locked long enough by the index, in case somebody has taken locks away.
    """

    def __init__(
        self,
        index: Index,
        location: Location,
        mode: LockMode,
        timing: LockTiming,
        kept_until: Mapping[str, int],
        *,
        again: bool = False,
    ) -> None:
        self.location = location
        self.mode = mode
        self.timing = timing
        self.kept_until = kept_until
        self.again = again
        self._index = index
        recorded = index.recorded(location)
        self.states = [state.info for state in recorded if state.info.id in kept_until]
        """The kept states."""
        self._places = [
            _make_place(index, place, [state.info for state in states], kept_until)
            for place, states in states_by_location(recorded).items()
        ]

    def is_delta(self, info: StateInfo) -> bool:
        """Whether the state's file in the bucket is known to be a delta."""
        stored = self._index.ledger.stored_file(info)
        return stored is not None and stored.base is not None

    def cost(self) -> LockCost:
        """Count what is to be done."""
        cost = LockCost()
        for versions, needs in self._needed():
            cost.needed += len(needs)
            for due in self._due(versions, needs):
                cost.due += 1
                cost.latest = max(cost.latest, due.change.retention.until)
            current = {each.version_id: each.retention for each in versions}
            ended = (retention for version in needs if (retention := current[version]) is not None)
            cost.lapsed += sum(retention.until < self.timing.now for retention in ended)
        return cost

    def due(self) -> Iterator[DueLock]:
        """The retentions to set, key by key. What is recorded while this is read does not change it."""
        for versions, needs in self._needed():
            yield from self._due(versions, needs)

    def _needed(self) -> Iterator[tuple[list[LockableVersion], dict[str, int]]]:
        for versions in self._index.retentions.versions(self.location):
            needs: dict[str, int] = {}
            for place in self._places:
                if versions[0].key.startswith(place.prefix):
                    for version_id, until in place.needs(versions).items():
                        needs[version_id] = max(until, needs.get(version_id, NOT_NEEDED))
            if needs:
                yield versions, needs

    def _due(self, versions: Sequence[LockableVersion], needs: dict[str, int]) -> Iterator[DueLock]:
        found = {each.version_id: each for each in versions}
        for version_id, until in needs.items():
            each = found[version_id]
            current = None if self.again else each.retention
            retention = next_retention(each.key, until, current, self.mode, self.timing)
            if retention is not None:
                yield DueLock(RetentionChange(each.key, version_id, retention), each.last_modified)


def plan_locks(
    index: Index,
    location: Location,
    rules: KeepPolicy,
    mode: LockMode,
    timing: LockTiming,
    audit: LocationAudit,
    *,
    again: bool = False,
) -> LockPlan:
    """Plan the locks of the states that the rules keep, in each location that they apply to.

    The plan reads the index again when it is executed: pass one that nobody writes to through the same connection.
    """
    is_clean = judge_by(audit)
    kept_until: dict[str, int] = {}
    for place, states in states_by_location(index.recorded(location)).items():
        if follows_rule(location, place):
            kept_until |= states_kept_until(candidates(states), rules, is_clean, timing)
    return LockPlan(index, location, mode, timing, kept_until, again=again)


def plan_state_lock(index: Index, info: StateInfo, mode: LockMode, until: int, now: int) -> LockPlan:
    """Plan the locks of one state, until a time."""
    return LockPlan(index, info.location, mode, LockTiming(now, 0, 1), {info.id: until})


def _make_place(index: Index, location: Location, states: Sequence[StateInfo], kept_until: Mapping[str, int]) -> _Place:
    moments = index.moments(location)
    known = [info for info in states if info.id in moments]  # another process may have forgotten some
    return _Place(
        location.prefix,
        [moments[info.id] for info in known],
        KeptUntil([kept_until.get(info.id, NOT_NEEDED) for info in known]),
    )
