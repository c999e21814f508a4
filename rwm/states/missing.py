"""How many versions of recorded states are gone from the bucket, by a listing. It records nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate

from rwm.index import Index, References, states_by_location
from rwm.location import Location
from rwm.model import Entry, ObjectVersion, StateInfo
from rwm.s3.listing import Lister, list_histories
from rwm.states.scopes import ByPrefix

Progress = Callable[[int], None]


def count_missing(
    lister: Lister,
    index: Index,
    location: Location,
    states: Collection[str],
    progress: Progress = lambda count: None,
) -> dict[str, int]:
    """How many versions are not in the bucket any more, by id of those of the ``states`` that lack any.

    Of recorded states of the location and of those below it. In which order a key's versions were written does not
    matter, so those of keys that the server lists ambiguously count as any other.
    """
    recorded = [state for state in index.recorded(location) if location.covers(state.info.location)]
    wanted = states_by_location([state for state in recorded if state.info.id in states])
    found = {}
    for place, here in wanted.items():
        infos = [state.info for state in here]
        found[place.prefix] = _Presence(infos, index.references(place, infos))
    if not found:
        return {}
    places = ByPrefix(found)
    for part in list_histories(lister, location, ambiguous=True):
        for history in part:
            for presence in places.above(history[0].key):
                presence.add(history)
            progress(len(history))
    return {info.id: count for presence in found.values() for info, count in presence.missing() if count}


class _Presence:
    """Counts the entries of the states of one location, oldest first, whose versions are in the bucket."""

    def __init__(self, states: Sequence[StateInfo], references: References) -> None:
        self._states = states
        self._references = references
        self._changes = [0] * (len(states) + 1)  # from one state to the next

    def add(self, history: Sequence[ObjectVersion]) -> None:
        """Add all versions of one key."""
        for entry, claimed in self._references.of(history[0].key):
            if any(_is_of(version, entry) for version in history):
                self._changes[claimed.start] += 1
                self._changes[claimed.stop] -= 1

    def missing(self) -> list[tuple[StateInfo, int]]:
        """Each state, and how many of its versions are gone."""
        counts = accumulate(self._changes)
        return [(info, info.objects - present) for info, present in zip(self._states, counts, strict=False)]


def _is_of(version: ObjectVersion, entry: Entry) -> bool:
    """Whether a version is that of an entry: a ``null`` version may have been overwritten in place."""
    return version.version_id == entry.version_id and (
        version.version_id != "null" or (version.last_modified, version.etag) == (entry.last_modified, entry.etag)
    )
