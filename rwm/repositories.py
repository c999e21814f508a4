"""Which restic repositories a state contains, how large each is, and which directories of its tree are one. Pure.

A repository may be several directories down, and inside another one's tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rwm import layout
from rwm.errors import UsageError
from rwm.location import Location
from rwm.model import EntryBatch, StateTree
from rwm.names import component_hidden_reason

_KEYS = f"{layout.KEYS_DIRECTORY}/"


class RepositoryCount(NamedTuple):
    """A repository: its prefix (empty, or with a slash at its end), its objects, and their size in bytes."""

    prefix: str
    objects: int
    bytes: int


def count_repositories(batches: Iterable[EntryBatch]) -> list[RepositoryCount]:
    """The repositories among the keys of a state, sorted by prefix.

    An object counts for the innermost repository above it; objects outside of all repositories are not counted.
    Hidden keys make no directory. ``batches`` are sorted by key. Memory grows with the depth of the directories and
    the number of repositories.
    """
    found: list[RepositoryCount] = []
    stack = [_Directory("")]
    for batch in batches:
        for key, size in zip(batch.keys, batch.sizes, strict=True):
            _, _, name = key.rpartition("/")
            directory = key[: len(key) - len(name)]
            if directory != stack[-1].prefix:
                found += _enter(stack, directory)
            stack[-1].add(name, size)
    while stack:
        found += _leave(stack)
    return sorted(found)


@dataclass(slots=True)
class _Directory:
    """A directory that is being read, and the one that contains it."""

    prefix: str
    parent: _Directory | None = None
    files: set[str] = field(default_factory=set)
    """Only ``config``: what decides whether it is a repository."""
    directories: set[str] = field(default_factory=set)
    has_key_file: bool = False
    """Whether a file in its ``keys/`` has a name that restic gives."""
    is_shown: bool = False
    objects: int = 0
    bytes: int = 0

    def add(self, name: str, size: int) -> None:
        """Count a file."""
        self.objects += 1
        self.bytes += size
        if name == "config":
            self.files.add(name)
        if not self.is_shown and component_hidden_reason(name) is None:
            self._show()
        if self.parent and not self.parent.has_key_file and self.prefix == f"{self.parent.prefix}{_KEYS}":
            self.parent.has_key_file = layout.is_key_file(name)

    def _show(self) -> None:
        """Note in each directory above that the one below exists, unless one of the names has no path."""
        names = self.prefix.split("/")[:-1]
        if any(component_hidden_reason(name) is not None for name in names):
            return
        directory = self
        directory.is_shown = True
        while (above := directory.parent) is not None:
            above.directories.add(directory.prefix[len(above.prefix) : -1])
            above.is_shown = True
            directory = above


def _enter(stack: list[_Directory], prefix: str) -> Iterator[RepositoryCount]:
    """Leave the directories that do not contain ``prefix``, and enter those down to it."""
    while not prefix.startswith(stack[-1].prefix):
        yield from _leave(stack)
    start = len(stack[-1].prefix)
    while start < len(prefix):
        start = prefix.index("/", start) + 1
        stack.append(_Directory(prefix[:start], stack[-1]))


def _leave(stack: list[_Directory]) -> Iterator[RepositoryCount]:
    """Leave the last directory: a repository is yielded, of another one the directory above takes the counts."""
    left = stack.pop()
    shown_files = left.files - left.directories  # a directory of the same name hides a file
    if layout.is_repository_root(shown_files, left.directories, has_key_file=left.has_key_file):
        yield RepositoryCount(left.prefix, left.objects, left.bytes)
    elif left.parent is not None:
        left.parent.objects += left.objects
        left.parent.bytes += left.bytes


# --- in a tree


def is_repository(tree: StateTree, directory: int) -> bool:
    """Whether a directory of a state is the root of a restic repository. One query where there is no ``config``."""
    config = tree.child(directory, layout.CONFIG_FILE)
    if config is None or config.entry is None:
        return False
    found = {name: tree.child(directory, name) for name in sorted(layout.REQUIRED_DIRECTORIES)}
    directories = {name: node.directory for name, node in found.items() if node and node.entry is None}
    return layout.is_repository_root({config.name}, directories) or layout.is_repository_root(
        {config.name}, directories, has_key_file=_has_key_file(tree, directories.get(layout.KEYS_DIRECTORY))
    )


def _has_key_file(tree: StateTree, keys: int | None) -> bool:
    """Whether one of the first files in ``keys/`` has a name that restic gives."""
    return keys is not None and any(node.entry and layout.is_key_file(node.name) for node in tree.children(keys))


def enclosing_repository(tree: StateTree, location: Location) -> Location | None:
    """The repository one of whose own directories the location is, or is in: ``bucket1`` for ``bucket1/data``.

    None if there is none, or if the location is itself a repository. It is below the tree's root.
    """

    def is_root(prefix: str) -> bool:
        directory = find_directory(tree, prefix)
        return directory is not None and is_repository(tree, directory)

    root = layout.enclosing_root(location.prefix, is_root, tree.prefix)
    return None if root is None else Location(location.bucket, root)


def inside_repository(what: object, repository: Location, hint: str = "") -> UsageError:
    """The error for a place that is a directory of a repository; by default the hint is to name the repository."""
    return UsageError(
        f"{what} is a directory of the repository at {repository}, not a place for one",
        hint=hint or f"name the repository itself: {repository}",
    )


def find_directory(tree: StateTree, prefix: str) -> int | None:
    """The directory of a state with that prefix, which is the root of the tree or below; None if it has none."""
    directory: int | None = tree.root
    for name in prefix.removeprefix(tree.prefix).split("/")[:-1]:
        node = None if directory is None else tree.child(directory, name)
        directory = node and node.directory
    return directory
