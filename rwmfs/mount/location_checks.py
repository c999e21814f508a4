"""Check that a state can be mounted at a location: it covers it, and has files there."""

from __future__ import annotations

from rwm.errors import StateNotFound, UsageError
from rwm.location import Location
from rwm.model import StateInfo, StateTree
from rwm.repositories import enclosing_repository, find_directory, inside_repository


def check_covers(info: StateInfo, location: Location) -> None:
    """Raise UsageError if the state is of a part of the location only."""
    if not info.location.covers(location):
        raise UsageError(
            f"state {info.short} is of {info.location}, it does not cover {location}",
            hint=f"mount what it is of: {info.location}",
        )


def check_directory(state: StateTree, location: Location) -> None:
    """Check that the state has files below the location, which is the root of its tree or below.

    Raises UsageError for a directory of a repository, StateNotFound if there is nothing. Only a whole bucket may
    be empty.
    """
    if repository := enclosing_repository(state, location):
        raise inside_repository(location, repository)
    if location.prefix and not _has_files(state, location):
        raise StateNotFound(
            f"state {state.info.short} has nothing below {location}",
            hint=f"`rwm state show {state.info.short}` lists what it has",
        )


def _has_files(state: StateTree, location: Location) -> bool:
    directory = find_directory(state, location.prefix)
    return directory is not None and bool(state.children(directory, limit=1))
