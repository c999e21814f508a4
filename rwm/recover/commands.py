"""The repositories in a state, and the restic commands that restore them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.repositories import is_repository
from rwm.shell import quote

TARGET = Path("/restore")
"""Where the printed commands restore to."""


def repositories_of(index: Index, info: StateInfo, location: Location, roots: Iterable[str]) -> list[str]:
    """Which of the ``roots``, prefixes of repositories, the state has below the location, without its prefix; sorted.

    Two queries for each, not a pass over the state.
    """
    found = []
    for root in sorted(roots):
        if root.startswith(max(location.prefix, info.prefix, key=len)):
            tree = index.tree(info, root)
            if is_repository(tree, tree.root):
                found.append(root[len(location.prefix) :])
    return found


def restic_commands(directory: Path, repositories: Sequence[str]) -> list[str]:
    """A command for each repository, at its path below ``directory``; each restores to a directory of its own."""
    return [
        f"restic -r {quote(directory / path)} --no-cache restore latest --target {quote(TARGET / path)}"
        for path in repositories
    ]
