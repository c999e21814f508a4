"""What a mount shows: one state (here), or all states of a location (``rwmfs.tree.all_states``). Pure.

Directories are read on demand. Those within a state never change. In those above the states names come and go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from rwm.location import Location
from rwm.model import StateInfo, StateTree, TreeNode, Trust, UploadOrder
from rwm.repositories import is_repository
from rwm.times import iso

LOCKS = "locks"
"""The name of the writable directory in the root of each state and of each repository."""


class Symlink(NamedTuple):
    """A symbolic link, above the states only. ``time`` is in milliseconds."""

    name: str
    target: str
    time: int


class GeneratedFile(NamedTuple):
    """A small file whose content ``read`` generates at open, above the states only. ``time`` is in milliseconds."""

    name: str
    read: Callable[[], bytes]
    time: int


DirEntry = TreeNode | Symlink | GeneratedFile


class Contents(Protocol):
    """A directory tree by directory ids, which are valid for one Contents object only.

    All methods but ``upload_order`` belong to one thread. Every method raises StateNotFound for a state that is no
    longer in the index: its names are unknown, not absent.
    """

    root: int
    label: str
    """The mount's source in lists of mounts."""

    def child(self, directory: int, name: str) -> DirEntry | None:
        """The entry of that name in a directory, or None."""

    def children(self, directory: int, after: str = "", limit: int = 1000) -> Sequence[DirEntry]:
        """Up to ``limit`` children with ``name > after``, sorted by name (by code point)."""

    def is_state_root(self, directory: int) -> bool:
        """Whether it is the root of a state."""

    def has_locks(self, directory: int) -> bool:
        """Whether it is the root of a state, or of a repository at any depth in one.

        There ``locks/`` is in memory and hides whatever the state has under that name.
        """

    def state_of(self, directory: int) -> StateInfo | None:
        """The state that a directory belongs to; None above the states."""

    def newest_state(self) -> StateInfo | None:
        """The newest of the states, or None."""

    def totals(self) -> tuple[int, int]:
        """Objects and bytes of the newest state, below the location that is mounted."""

    def state_xattrs(self, info: StateInfo) -> dict[str, str]:
        """Extended attributes of a state's root, by name without ``user.rwm.``."""

    def upload_order(self, info: StateInfo, root: str) -> UploadOrder:
        """The packs in a state of the repository whose prefix is ``root``, in upload order. Thread-safe.

        It may take a second per million packs.
        """


class SingleState:
    """Implements :class:`Contents` with the tree of one state. ``trust`` returns its current trust."""

    def __init__(self, tree: StateTree, trust: Callable[[StateInfo], Trust]) -> None:
        self.root = tree.root
        self.label = f"{Location(tree.info.bucket, tree.prefix)}@{tree.info.short}"
        self._tree = tree
        self._totals = tree.totals()
        self._trust = trust

    def child(self, directory: int, name: str) -> TreeNode | None:
        """The file or directory of that name, or None."""
        return self._tree.child(directory, name)

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[TreeNode]:
        """Up to ``limit`` children with ``name > after``, sorted by name."""
        return self._tree.children(directory, after, limit)

    def is_state_root(self, directory: int) -> bool:
        """Whether it is the root."""
        return directory == self.root

    def has_locks(self, directory: int) -> bool:
        """Whether it is the root, or the root of a repository."""
        return directory == self.root or is_repository(self._tree, directory)

    def state_of(self, directory: int) -> StateInfo:
        """The state."""
        return self._tree.info

    def newest_state(self) -> StateInfo:
        """The state."""
        return self._tree.info

    def totals(self) -> tuple[int, int]:
        """Objects and bytes in the tree."""
        return self._totals

    def state_xattrs(self, info: StateInfo) -> dict[str, str]:
        """Id, time and trust."""
        return state_xattrs(info, self._trust(info))

    def upload_order(self, info: StateInfo, root: str) -> UploadOrder:
        """The packs of a repository in upload order."""
        return self._tree.upload_order(root)


def state_xattrs(info: StateInfo, trust: Trust) -> dict[str, str]:
    """The result of :meth:`Contents.state_xattrs`."""
    return {"state_id": info.id, "captured_at": iso(info.captured_at), "trust": trust}
