"""The part of a state that is restored: all of it, or what is below a prefix."""

from __future__ import annotations

from collections.abc import Iterator

from rwm.errors import NotFound
from rwm.index import Index, IndexTree
from rwm.location import Location
from rwm.model import Entry, StateInfo, StateTree
from rwm.repositories import RepositoryCount, count_repositories, enclosing_repository, inside_repository


class StatePart:
    """The entries of a state below its prefix, or below a longer one. Keys are restored relative to that prefix."""

    def __init__(self, index: Index, info: StateInfo, prefix: str = "") -> None:
        """``prefix`` is a location's that the state overlaps: the longer of it and the state's own counts.

        Raises UsageError if it is a directory in a repository, NotFound if the state has nothing below it.
        """
        self._index = index
        self.info = info
        self.prefix = prefix if len(prefix) > len(info.prefix) else info.prefix
        self.objects, self.bytes = self.tree().totals()
        if self.prefix != info.prefix:
            _check_not_in_repository(index.tree(info), self.location)
            if not self.objects:
                raise NotFound(
                    f"state {info.short} has nothing below {self.location}",
                    hint=f"`rwm state show {info.short}` lists what it has",
                )

    @property
    def location(self) -> Location:
        """Where the part was."""
        return Location(self.info.bucket, self.prefix)

    def entries(self) -> Iterator[Entry]:
        """The entries, sorted by key."""
        return self._index.entries(self.info, self.prefix)

    def repositories(self) -> list[RepositoryCount]:
        """The repositories in the part, sorted by prefix. One pass over the state."""
        found = count_repositories(self._index.batches(self.info))
        return [repository for repository in found if repository.prefix.startswith(self.prefix)]

    def tree(self) -> IndexTree:
        """The part as directories."""
        return self._index.tree(self.info, self.prefix)

    def relative(self, key: str) -> str:
        """A key of the part without the prefix."""
        return key[len(self.prefix) :]


def _check_not_in_repository(tree: StateTree, location: Location) -> None:
    if repository := enclosing_repository(tree, location):
        raise inside_repository(location, repository)
