"""Check that a state can be mounted at a location: it covers it, and has files there."""

from __future__ import annotations

from rwm.console import SHORT_ID
from rwm.errors import StateNotFound, UsageError
from rwm.layout import REPOSITORY_DIRECTORIES
from rwm.location import Location
from rwm.model import StateInfo, StateTree
from rwmfs.tree import is_repository_root


def check_covers(info: StateInfo, location: Location) -> None:
    """Raise UsageError if the state is of a part of the location only."""
    if not info.location.covers(location):
        raise UsageError(
            f"state {info.id[:SHORT_ID]} is of {info.location}, it does not cover {location}",
            hint=f"mount what it is of: {info.location}",
        )


def check_directory(state: StateTree, location: Location) -> None:
    """Check that the state has files below the location, which is the root of its tree or below.

    Raises UsageError for an inner directory of a repository, StateNotFound if there is nothing. Only a whole bucket may
    be empty.
    """
    directory: int | None = state.root
    path, repository = state.prefix, None
    for name in location.prefix.removeprefix(state.prefix).split("/")[:-1]:
        if directory is None:
            break
        if is_repository_root(state, directory):
            repository = Location(location.bucket, path) if name in REPOSITORY_DIRECTORIES else None
        node = state.child(directory, name)
        directory, path = node and node.directory, f"{path}{name}/"
    is_root = directory is not None and is_repository_root(state, directory)
    if repository is not None and not is_root:
        raise UsageError(
            f"{location} is an inner directory of the repository {repository}", hint=f"mount all of it: {repository}"
        )
    if location.prefix and (directory is None or not state.children(directory, limit=1)):
        raise StateNotFound(
            f"state {state.info.id[:SHORT_ID]} has nothing below {location}",
            hint=f"`rwm state show {state.info.id[:SHORT_ID]}` lists what it has",
        )
