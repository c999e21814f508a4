"""Which locations cover a key, and which of its versions the recorded states of each need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rwm.index import Index, states_by_location
from rwm.location import Location
from rwm.model import Entry, RecordedState, StateInfo
from rwm.names import parent_directories
from rwm.prune.location_plan import LocationCollector, LocationPlan, Needs
from rwm.retention import AuditJudgement, candidates, follows_rule


class Coverage:
    """The locations of all recorded states that overlap a pruned location, each with its collector.

    ``recorded`` are these states, oldest first, and ``keep`` those to keep where the keep rule applies. Raises
    StateNotFound if one of ``keep`` was forgotten.
    """

    def __init__(
        self,
        index: Index,
        location: Location,
        recorded: Sequence[RecordedState],
        keep: Sequence[StateInfo],
        judgement: AuditJudgement,
    ) -> None:
        self._trust = {info.id: index.trust(info) for info in keep}
        self._locations = states_by_location(recorded)
        verifications = index.verifications.of_states()
        self._collectors = []
        self._references = []
        for place, states in self._locations.items():
            infos = [state.info for state in states]
            by_rule = follows_rule(location, place)
            kept = [info for info in infos if info.id in self._trust] if by_rule else infos
            self._collectors.append(LocationCollector(place, states, kept, judgement, verifications, by_rule=by_rule))
            self._references.append(index.references(place, infos))
        self._positions = {place.prefix: n for n, place in enumerate(self._locations)}
        self._directory: str | None = None
        self._covering: list[int] = []

    def of(self, key: str) -> list[tuple[LocationCollector, Needs]]:
        """The collectors of all locations that cover the key, the innermost last, and what each one's states need."""
        return [(self._collectors[n], self._references[n].of(key)) for n in self._find(key)]

    def _find(self, key: str) -> list[int]:
        """Positions of the locations that cover the key. Those of the last directory are cached."""
        directory = key[: key.rfind("/") + 1]
        if directory != self._directory:
            self._directory = directory
            prefixes = ("", *parent_directories(key))
            self._covering = [self._positions[prefix] for prefix in prefixes if prefix in self._positions]
        return self._covering

    def samples(self) -> list[Entry]:
        """Files of the states that the prune relies on, to be read before it."""
        return [entry for collector in self._collectors for entry in collector.sample.entries()]

    def finish(self, faults: Mapping[Entry, str]) -> tuple[LocationPlan, ...]:
        """The results of all locations, sorted; ``faults`` say which of :meth:`samples` are unreadable, and why."""
        return tuple(
            collector.finish(
                self._trust,
                [faults[entry] for entry in collector.sample.entries() if entry in faults],
                can_keep=bool(candidates(self._locations[collector.location])),
            )
            for collector in self._collectors
        )
