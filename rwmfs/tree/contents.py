"""What a mount shows: one state, or (rwmfs.tree.browse) all of a bucket's. Pure.

Directories are read on demand. Those of a state never change. Those above states do: names come and go there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from rwm.model import StateInfo, StateTree, TreeNode, Trust, UploadOrder
from rwm.times import iso

LOCKS = "locks"
"""The name, in the root of each state, of the directory that restic may write to."""


class Link(NamedTuple):
    """A symbolic link, above the states only. ``time`` is in milliseconds."""

    name: str
    target: str
    time: int


class Text(NamedTuple):
    """A file that is made when it is opened, above the states only. ``read`` gives all of it, which is not much."""

    name: str
    read: Callable[[], bytes]
    time: int


Found = TreeNode | Link | Text


class Contents(Protocol):
    """Directory ids mean something to the same object only. All methods may be called from one thread only.

    Every method raises StateNotFound for a state that the index has lost: its names are not absent, they are unknown.
    """

    root: int
    label: str
    """How it is called in lists of mounts."""

    def child(self, directory: int, name: str) -> Found | None:
        """What has that name in a directory, or None."""

    def children(self, directory: int, after: str = "", limit: int = 1000) -> Sequence[Found]:
        """Up to ``limit`` children with ``name > after``, sorted by name (by code point)."""

    def is_root(self, directory: int) -> bool:
        """Whether it is the root of a state: there ``locks/`` is, instead of what the state has of that name."""

    def state(self, directory: int) -> StateInfo | None:
        """The state that it is a directory of; None above the states."""

    def newest(self) -> StateInfo | None:
        """The newest state that is shown; None when there is none."""

    def facts(self, info: StateInfo) -> dict[str, str]:
        """What is known of a state that is shown, by name."""

    def upload_order(self, info: StateInfo) -> UploadOrder:
        """The packs of a state in the order of their upload, which may take a second for each million.

        Any thread may ask.
        """


class SingleState:
    """Implements :class:`Contents`: one state, its root at the root. ``trust`` says what is known of its truth now."""

    def __init__(self, tree: StateTree, trust: Callable[[StateInfo], Trust]) -> None:
        self.root = tree.root
        self.label = f"{tree.info.bucket}@{tree.info.id[:12]}"
        self._tree = tree
        self._trust = trust

    def child(self, directory: int, name: str) -> TreeNode | None:
        """The file or directory of that name, or None."""
        return self._tree.child(directory, name)

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[TreeNode]:
        """Up to ``limit`` children with ``name > after``, sorted by name."""
        return self._tree.children(directory, after, limit)

    def is_root(self, directory: int) -> bool:
        """Whether it is the root."""
        return directory == self.root

    def state(self, directory: int) -> StateInfo:
        """The state."""
        return self._tree.info

    def newest(self) -> StateInfo:
        """The state."""
        return self._tree.info

    def facts(self, info: StateInfo) -> dict[str, str]:
        """Id, time and trust."""
        return facts(info, self._trust(info))

    def upload_order(self, info: StateInfo) -> UploadOrder:
        """The state's."""
        return self._tree.upload_order()


def facts(info: StateInfo, trust: Trust) -> dict[str, str]:
    """What :meth:`Contents.facts` says."""
    return {"state_id": info.id, "captured_at": iso(info.captured_at), "trust": trust}
