"""The inode table: inodes and lookup counts of the files and directories that a mount shows. Pure.

An inode is computed from the directory and the name with a hash whose key is drawn for each mount. So a name always
gets the same inode without a table of all names, and an attacker who chooses keys cannot choose inodes. The table holds
only nodes with a lookup count: a node enters with its first lookup and leaves when the kernel has forgotten all
of them. If two names in the table hash alike (the chance among ten million is 1 in 100,000), the later one gets another
inode for as long as it is in the table.

A node does not keep its directory entry; it is read again from the contents when needed. With practically infinite
timeouts the kernel would hold millions of nodes, so above a limit it is asked to forget the oldest ones.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from itertools import count

from rwm.model import Entry, TreeNode
from rwmfs.tree.contents import LOCKS, Contents, DirEntry

ROOT_INODE = 1
"""The inode of the root, as FUSE defines it."""

FIRST_HASHED_INODE = 1 << 62
"""Inodes made by the hash begin here; smaller ones are free for ``locks/`` and its files."""

DENTRY_LIMIT = 100_000
"""Dentries of files to keep; beyond it the oldest are invalidated. Each takes 300 bytes here, 1 KB in the kernel."""

INVALIDATION_BATCH = 1000
"""Dentries to invalidate at once, at least."""


class UnknownInode(Exception):
    """The kernel named an inode with no lookup count."""


class Node:
    """A row of the table. ``parent`` and ``directory`` (None: a file) are directory ids of the Contents."""

    __slots__ = ("directory", "inode", "lookup_count", "name", "parent")

    def __init__(self, inode: int, parent: int, name: str, directory: int | None) -> None:
        self.inode = inode
        self.parent = parent
        self.name = name
        self.directory = directory
        self.lookup_count = 0


class InodeTree:
    """Nodes over a Contents, without the ``locks`` that are served from memory.

    ``bits`` is the width of the hash; tests make it small to force collisions. ``dentry_limit`` is how many files the
    kernel should hold at most; open files and directories may exceed it.
    """

    def __init__(self, contents: Contents, bits: int = 62, dentry_limit: int = DENTRY_LIMIT) -> None:
        self.contents = contents
        self.dentry_limit = dentry_limit
        self._mask = (1 << bits) - 1
        self._key = secrets.token_bytes(16)
        self._nodes: dict[int, Node] = {}
        self._displaced: dict[tuple[int, str], int] = {}
        self._directories = {contents.root: ROOT_INODE}
        self._files: deque[int] = deque()  # inodes, oldest first; some may be forgotten since
        self._root = Node(ROOT_INODE, contents.root, "", contents.root)

    def __len__(self) -> int:
        """How many nodes the kernel holds, without the root."""
        return len(self._nodes)

    def node(self, inode: int) -> Node:
        """The node of an inode; raises UnknownInode."""
        if inode == ROOT_INODE:
            return self._root
        try:
            return self._nodes[inode]
        except KeyError:
            raise UnknownInode(f"inode {inode} has no lookup count") from None

    def find(self, directory: int, name: str) -> DirEntry | None:
        """The entry of that name in a directory (by its id), or None."""
        if name == LOCKS and self.contents.has_locks(directory):
            return None
        return self.contents.child(directory, name)

    def dir_entry(self, node: Node) -> DirEntry:
        """The directory entry of a node; raises UnknownInode when the name is gone."""
        entry = self.contents.child(node.parent, node.name)
        if entry is None:
            raise UnknownInode(f"{node.name!r} no longer exists")
        return entry

    def state_entry(self, node: Node) -> Entry | None:
        """The state's entry (key and version) of a node; None if it is not a file of a state."""
        entry = self.dir_entry(node)
        return entry.entry if isinstance(entry, TreeNode) else None

    def add_lookup(self, directory: int, entry: DirEntry) -> Node:
        """The node of an entry in a directory, with its lookup count raised by one."""
        inode = self._inode(directory, entry.name)
        node = self._nodes.get(inode)
        if node is None:
            below = entry.directory if isinstance(entry, TreeNode) else None
            node = self._nodes[inode] = Node(inode, directory, entry.name, below)
            if below is None:
                self._files.append(inode)
            else:
                self._directories[below] = inode
        node.lookup_count += 1
        return node

    def inode(self, directory: int, name: str) -> int:
        """The inode that ``add_lookup`` would give to that name now."""
        return self._inode(directory, name, remember=False)

    def forget(self, inode: int, nlookup: int) -> None:
        """Subtract ``nlookup`` from the lookup count of an inode."""
        if inode == ROOT_INODE:
            return
        node = self.node(inode)
        node.lookup_count -= nlookup
        if node.lookup_count <= 0:
            del self._nodes[inode]
            self._displaced.pop((node.parent, node.name), None)
            if node.directory is not None:
                del self._directories[node.directory]

    @property
    def excess_dentries(self) -> int:
        """How many files the kernel holds above the limit, without those that ``pop_oldest_dentries`` has returned."""
        return max(len(self._files) - self.dentry_limit, 0)

    def pop_oldest_dentries(self) -> list[tuple[int, str]]:
        """The dentries of files (inode of the parent, name) to invalidate now; each is returned once.

        Never the newest: the kernel may not have received the answer about those yet.
        """
        if not self.excess_dentries:
            return []
        batch = max(self.excess_dentries, min(INVALIDATION_BATCH, self.dentry_limit // 2))
        inodes = [self._files.popleft() for _ in range(batch)]
        nodes = [self._nodes[inode] for inode in inodes if inode in self._nodes]
        # The kernel may forget a directory before a file in it that is watched (inotify).
        return [(parent, node.name) for node in nodes if (parent := self._directories.get(node.parent)) is not None]

    def _inode(self, directory: int, name: str, remember: bool = True) -> int:
        displaced = self._displaced.get((directory, name))
        if displaced is not None:
            return displaced
        for attempt, inode in enumerate(self._candidates(directory, name)):
            node = self._nodes.get(inode)
            if node is None or (node.parent == directory and node.name == name):
                if attempt and remember:
                    self._displaced[directory, name] = inode
                return inode
        raise AssertionError("unreachable: the candidates never end")

    def _candidates(self, directory: int, name: str) -> Iterator[int]:
        text = f"{directory}/{name}".encode()
        digest = blake2b(text, digest_size=8, key=self._key).digest()
        return count(FIRST_HASHED_INODE + (int.from_bytes(digest, "little") & self._mask))
