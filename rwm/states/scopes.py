"""Comparing a listing with the states of several locations at once, and counting the versions that are gone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from rwm.index import RECORDED_AS, Index, References, states_by_location
from rwm.location import Location
from rwm.model import ObjectVersion, RecordedState
from rwm.names import parent_directories, split_key
from rwm.s3.listing import Lister, list_histories
from rwm.states.comparison import Comparison, ComparisonResult
from rwm.states.key_history import ALWAYS
from rwm.states.state_file import StateFile, by_prefix
from rwm.times import SECOND

Progress = Callable[[int], None]


def count_missing(
    lister: Lister,
    index: Index,
    location: Location,
    states: Collection[str],
    progress: Progress = lambda count: None,
) -> dict[str, int]:
    """How many versions are not in the bucket any more, by id of those of the ``states`` that lack any.

    Of recorded states of the location and of those below it. Keys that the server lists ambiguously are not counted.
    Records nothing.
    """
    recorded = [state for state in index.recorded(location) if location.covers(state.info.location)]
    recorded = [state for state in recorded if state.info.id in states]
    if not recorded:
        return {}
    scopes = Scopes(index, states_by_location(recorded), states, (), {})
    for part in list_histories(lister, location, ambiguous=True):
        for history in part:
            scopes.compare_key(history, lister.unknown_keys.known_until(location.bucket, history[0].key))
            progress(len(history))
    ambiguous = sum(key.reason == "ambiguous" for key in lister.unknown_keys.below(location))
    return {one.info.id: one.unknown for one in scopes.results() if one.unknown > ambiguous}


class Scopes:
    """One comparison for each location of the states: a key is compared with the states that cover it."""

    def __init__(
        self,
        index: Index,
        recorded: Mapping[Location, Sequence[RecordedState]],
        ids: Collection[str],
        files: Sequence[StateFile],
        ignored: Mapping[str, str],
    ) -> None:
        self._scopes: dict[str, tuple[Comparison, References]] = {}
        files_by_prefix = by_prefix(files)
        for location, here in recorded.items():
            states = [state.info for state in here]
            wanted = [state.info.id for state in here if state.info.id in ids]
            uploaded = _upload_times(files_by_prefix.get(location.prefix, []), ignored)
            self._scopes[location.prefix] = Comparison(states, wanted, uploaded), index.references(location, states)
        self._directory: str | None = None
        self._covering: list[tuple[Comparison, References]] = []

    def compare_key(self, history: Sequence[ObjectVersion], known_until: int | None) -> None:
        """Compare one key: all its versions, newest first. Nothing is known of it as of ``known_until`` or later."""
        key = history[0].key
        directory, _ = split_key(key)
        if directory != self._directory:
            above = ["", *parent_directories(key)]
            self._directory = directory
            self._covering = [self._scopes[prefix] for prefix in above if prefix in self._scopes]
        for comparison, references in self._covering:
            comparison.compare_key(history, references.of(key), ALWAYS if known_until is None else known_until)

    def results(self) -> list[ComparisonResult]:
        """The results for all wanted states, oldest first."""
        found = [result for comparison, _ in self._scopes.values() for result in comparison.results()]
        return sorted(found, key=lambda result: result.info.captured_at)


def _upload_times(files: Iterable[StateFile], ignored: Mapping[str, str]) -> dict[str, int]:
    """When the file of each state of one location was written, in milliseconds by state id."""
    times: dict[str, int] = {}
    for file in files:
        why = ignored.get(file.ledger_key, "")
        if why.startswith(RECORDED_AS):
            times[why.removeprefix(RECORDED_AS)] = file.uploaded
        elif file.name and not why:
            before = times.get(file.name.id)
            # A file written before the state's second cannot be a copy of it: somebody guessed the name.
            if before is None or before + SECOND < file.name.captured_at:
                times[file.name.id] = file.uploaded
            elif file.uploaded + SECOND >= file.name.captured_at:
                times[file.name.id] = min(file.uploaded, before)
    return times
