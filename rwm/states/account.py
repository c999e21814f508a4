"""The states of a whole account: those that an index knows, and those that only the buckets hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from rwm.errors import AccessDenied, S3Error
from rwm.index import Index
from rwm.location import Location
from rwm.model import RecordedState
from rwm.s3 import S3
from rwm.s3.listing import map_in_threads
from rwm.states.state_file import StateFile
from rwm.states.sync import list_state_files, new_state_files

AT_ONCE = 16
"""Buckets that are asked at the same time."""


DISCOVERY_LIMIT = 1000
"""Directories of each bucket that are visited to find prefixes with state files, besides the recorded ones."""


class LocationSummary(NamedTuple):
    """The states of one location. ``states`` are recorded in the index, ``last`` is the newest of them.

    ``unrecorded`` counts those that only the bucket holds, None where it could not be read: ``error`` says why.
    """

    location: Location
    states: int
    last: RecordedState | None
    unrecorded: int | None
    error: str = ""


def summarize_account(
    s3: S3, index: Index, progress: Callable[[int], None] = lambda count: None
) -> list[LocationSummary]:
    """One summary for each location with states, and one for each bucket without any, sorted.

    The buckets are those of the account, and those that the index knows, which may be another account's. Of these, and
    of buckets that this account may not list, only the recorded locations are read. Several buckets are read at a time;
    an error of one is in its summaries.
    """
    recorded: dict[Location, list[RecordedState]] = {}
    for state in index.recorded():
        recorded.setdefault(state.info.location, []).append(state)
    own = set(s3.list_buckets())
    places = sorted({*map(Location, own), *_outermost(location for location in recorded if location.bucket not in own)})

    def list_files(place: Location) -> Sequence[StateFile]:
        known = [location for location in recorded if location.bucket == place.bucket]
        prefixes = [location.prefix for location in known]
        list_below = partial(list_state_files, s3, prefixes=prefixes, discovery_limit=DISCOVERY_LIMIT)
        try:
            return list_below(place)
        except AccessDenied:
            readable = _outermost(location for location in known if location.prefix)
            if place.prefix or not readable:
                raise
            # The keys of a prefix, on a server that lists the bucket among those of the account.
            return [file for location in sorted(readable) for file in list_below(location)]

    found = map_in_threads(list_files, places, AT_ONCE, progress)
    summaries = []
    for place, files in found.items():
        locations = {location for location in recorded if place.covers(location)}
        if isinstance(files, S3Error):
            unrecorded, error = None, files.message
        else:
            unrecorded, error = _count_unrecorded(index, place, files), ""
            locations |= unrecorded.keys()
        for location in locations or {place}:
            states = recorded.get(location, [])
            new = None if unrecorded is None else unrecorded[location]
            summaries.append(LocationSummary(location, len(states), states[-1] if states else None, new, error))
    return sorted(summaries, key=lambda summary: summary.location)


def _outermost(locations: Iterable[Location]) -> set[Location]:
    """The locations without those below another one."""
    found: set[Location] = set()
    for location in sorted(locations):  # a location comes before those below it
        if not any(outer.covers(location) for outer in found):
            found.add(location)
    return found


def _count_unrecorded(index: Index, place: Location, files: Sequence[StateFile]) -> Counter[Location]:
    """How many states sync would read, by location. The files of the original tool are of whole buckets."""
    new = new_state_files(index, place, files)
    states = {(file.name.prefix, file.name.id) if file.name else ("", file.key) for file in new}
    return Counter(Location(place.bucket, prefix) for prefix, _ in states)
