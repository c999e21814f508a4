"""A state as a directory tree."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from rwm.model.entries import Entry
from rwm.model.states import StateInfo


class TreeNode(NamedTuple):
    """A name in a directory of a state: a file (``entry``) or a directory (``directory`` is its id), never both."""

    name: str
    directory: int | None
    entry: Entry | None


class UploadOrder(Protocol):
    """The packs of a repository in the order of their upload. Methods may be called from one thread at a time."""

    def rank(self, entry: Entry) -> int | None:
        """The position of a pack, counted from 0; None if the entry is not a pack."""

    def entry(self, rank: int) -> Entry | None:
        """The pack at a position, or None after the last one."""

    def close(self) -> None:
        """Release its resources."""


class StateTree(Protocol):
    """A state, or what it has below a prefix, as a directory tree. Directory ids are valid for the same tree only.

    Hidden keys, which a filesystem cannot show, are not in the tree; ``hidden_count`` counts them.
    All methods except ``upload_order`` must be called from one thread.
    """

    root: int
    prefix: str
    """The prefix of all keys in the tree."""
    info: StateInfo

    def child(self, directory: int, name: str) -> TreeNode | None:
        """The file or directory of that name, or None."""

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[TreeNode]:
        """Up to ``limit`` children with ``name > after``, sorted by name (by code point)."""

    def totals(self) -> tuple[int, int]:
        """Objects and bytes in the tree, hidden keys included."""

    def hidden_count(self) -> int:
        """The number of hidden keys below the prefix."""

    def upload_order(self, root: str) -> UploadOrder:
        """The packs of the repository whose prefix is ``root``, in the order of their upload.

        Takes about a second for a million; callable from any thread.
        """
