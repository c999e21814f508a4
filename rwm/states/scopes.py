"""Comparing a listing with the states of several locations at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from rwm.index import RECORDED_AS, Index, References
from rwm.location import Location
from rwm.model import ObjectVersion, RecordedState
from rwm.names import parent_directories, split_key
from rwm.states.comparison import Comparison, ComparisonResult
from rwm.states.key_history import ALWAYS
from rwm.states.state_file import StateFile, by_prefix
from rwm.times import SECOND

T = TypeVar("T")


class ByPrefix(Generic[T]):
    """What belongs to prefixes, to be found by a key below them. Keys of one directory come one after another."""

    def __init__(self, items: Mapping[str, T]) -> None:
        self._items = items
        self._directory: str | None = None
        self._above: list[T] = []

    def above(self, key: str) -> list[T]:
        """What belongs to the prefixes of a key, the shortest first."""
        directory, _ = split_key(key)
        if directory != self._directory:
            self._directory = directory
            prefixes = ["", *parent_directories(key)]
            self._above = [self._items[prefix] for prefix in prefixes if prefix in self._items]
        return self._above


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
        scopes: dict[str, tuple[Comparison, References]] = {}
        files_by_prefix = by_prefix(files)
        for location, here in recorded.items():
            states = [state.info for state in here]
            wanted = [state.info.id for state in here if state.info.id in ids]
            uploaded = _upload_times(files_by_prefix.get(location.prefix, []), ignored)
            scopes[location.prefix] = Comparison(states, wanted, uploaded), index.references(location, states)
        self._comparisons = [comparison for comparison, _ in scopes.values()]
        self._scopes = ByPrefix(scopes)

    def compare_key(self, history: Sequence[ObjectVersion], known_until: int | None) -> None:
        """Compare one key: all its versions, newest first. Nothing is known of it as of ``known_until`` or later."""
        key = history[0].key
        for comparison, references in self._scopes.above(key):
            comparison.compare_key(history, references.of(key), ALWAYS if known_until is None else known_until)

    def results(self) -> list[ComparisonResult]:
        """The results for all wanted states, oldest first."""
        found = [result for comparison in self._comparisons for result in comparison.results()]
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
