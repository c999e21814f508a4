"""The inode tree: numbers for the files and directories that a mount shows. Pure.

A number is computed from the directory and the name with a hash whose key is drawn for each mount, so a name gets the
same number whenever it is looked up, without a table of all names, and nobody who chooses the keys can choose the
numbers. The table holds only what the kernel holds: a node enters with its first lookup and leaves when the kernel has
forgotten all of them. If two held names hash alike (the chance among ten million is 1 in 100,000), the later one gets
another number for as long as it is held.

A node does not keep its entry; it is read again from what is shown when needed. The kernel would hold millions of
nodes, because it may believe for ever what it was told, so it is asked to let go of those that it has held for long.
"""

from __future__ import annotations

import secrets
import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import count

from rwm.model import Entry, TreeNode
from rwmfs.tree.contents import LOCKS, Contents, Found

ROOT_INODE = 1
"""The number that FUSE gives to the root."""

HASHED = 1 << 62
"""Numbers from the hash are HASHED or more; smaller ones are free for ``locks/`` and what is in it."""


HELD = 100_000
"""Names that the kernel may hold before it is asked to let go of some: about 300 bytes each here, 1 KB each there."""

LET_GO = 1000
"""Names that it is asked to let go of at once, at least."""


class UnknownInode(Exception):
    """The kernel named an inode that it does not hold."""


class Node:
    """A name that the kernel holds. ``parent`` and ``directory`` (None: a file) are directory ids of the Contents."""

    __slots__ = ("directory", "lookups", "name", "number", "parent")

    def __init__(self, number: int, parent: int, name: str, directory: int | None) -> None:
        self.number = number
        self.parent = parent
        self.name = name
        self.directory = directory
        self.lookups = 0


class InodeTree:
    """Nodes over what is shown, but for ``locks`` in the root of a state: another part of the filesystem takes that.

    ``bits`` is the width of the hash; tests make it small to force collisions. ``most`` is how many nodes the kernel
    may hold; files that are open, and directories, may be beyond.
    """

    def __init__(self, shown: Contents, bits: int = 62, most: int = HELD) -> None:
        self.shown = shown
        self.most = most
        self._mask = (1 << bits) - 1
        self._key = secrets.token_bytes(16)
        self._nodes: dict[int, Node] = {}
        self._displaced: dict[tuple[int, str], int] = {}
        self._directories = {shown.root: ROOT_INODE}
        self._files: deque[int] = deque()  # as they came to be held; some may be forgotten since
        self._root = Node(ROOT_INODE, shown.root, "", shown.root)

    def __len__(self) -> int:
        """How many nodes the kernel holds, the root aside."""
        return len(self._nodes)

    def node(self, number: int) -> Node:
        """The node of a number that the kernel holds; raises UnknownInode."""
        if number == ROOT_INODE:
            return self._root
        try:
            return self._nodes[number]
        except KeyError:
            raise UnknownInode(f"inode {number} is not held") from None

    def find(self, directory: int, name: str) -> Found | None:
        """What has that name in a directory (by its id), or None."""
        if name == LOCKS and self.shown.is_root(directory):
            return None
        return self.shown.child(directory, name)

    def found(self, node: Node) -> Found:
        """What a node that is held stands for."""
        found = self.shown.child(node.parent, node.name)
        if found is None:
            raise UnknownInode(f"{node.name!r} is not there any more")
        return found

    def entry(self, node: Node) -> Entry | None:
        """The state's entry of a node that is held; None when it is not a file of a state."""
        found = self.found(node)
        return found.entry if isinstance(found, TreeNode) else None

    def hold(self, directory: int, found: Found) -> Node:
        """The node of a name in a directory, held by the kernel once more from now on."""
        number = self._number(directory, found.name)
        node = self._nodes.get(number)
        if node is None:
            below = found.directory if isinstance(found, TreeNode) else None
            node = self._nodes[number] = Node(number, directory, found.name, below)
            if below is None:
                self._files.append(number)
            else:
                self._directories[below] = number
        node.lookups += 1
        return node

    def number(self, directory: int, name: str) -> int:
        """The number that ``hold`` would give to that name now."""
        return self._number(directory, name, remember=False)

    def forget(self, number: int, lookups: int) -> None:
        """The kernel gives back so many of its lookups of a node."""
        if number == ROOT_INODE:
            return
        node = self.node(number)
        node.lookups -= lookups
        if node.lookups <= 0:
            del self._nodes[number]
            self._displaced.pop((node.parent, node.name), None)
            if node.directory is not None:
                del self._directories[node.directory]

    @property
    def too_many(self) -> int:
        """How many more files the kernel holds than it should, but for those that :meth:`held_too_long` has said."""
        return max(len(self._files) - self.most, 0)

    def held_too_long(self) -> list[tuple[int, str]]:
        """The files (number of the directory, name) that the kernel should let go of now; each is said once.

        Never the newest: of those the kernel may not have heard yet.
        """
        if not self.too_many:
            return []
        numbers = [self._files.popleft() for _ in range(max(self.too_many, min(LET_GO, self.most // 2)))]
        nodes = [self._nodes[number] for number in numbers if number in self._nodes]
        # The kernel may have forgotten a directory before a file in it that somebody watches.
        return [(above, node.name) for node in nodes if (above := self._directories.get(node.parent)) is not None]

    def _number(self, directory: int, name: str, remember: bool = True) -> int:
        displaced = self._displaced.get((directory, name))
        if displaced is not None:
            return displaced
        for attempt, number in enumerate(self._candidates(directory, name)):
            node = self._nodes.get(number)
            if node is None or (node.parent == directory and node.name == name):
                if attempt and remember:
                    self._displaced[directory, name] = number
                return number
        raise AssertionError("unreachable: the candidates never end")

    def _candidates(self, directory: int, name: str) -> Iterator[int]:
        text = f"{directory}/{name}".encode()
        digest = blake2b(text, digest_size=8, key=self._key).digest()
        return count(HASHED + (int.from_bytes(digest, "little") & self._mask))


class Listing:
    """One directory of a state read in pages, with positions that stay valid: a name's position is its rank.

    A position costs nothing to make, and going back to one reads a page from the nearest page start seen so far.
    The directory is immutable, so a rank means the same name for ever. ``first`` is the rank of the first name: ranks
    below it are free for what another part of the filesystem puts before the names.
    """

    PAGE = 1000

    def __init__(self, tree: InodeTree, directory: int, first: int = 0) -> None:
        self.directory = directory
        self.first = first
        self._shown = tree.shown
        self._starts = [first]
        self._afters = [""]
        self._page_start = first
        self._page: Sequence[Found] = ()

    def read(self, position: int) -> Iterator[tuple[int, Found]]:
        """What is found from a rank (``first`` or more) on, each with the rank that follows it.

        ``locks`` in the root of the state is passed over.
        """
        at_root = self._shown.is_root(self.directory)
        while page := self._page_at(position):
            for found in page[position - self._page_start :]:
                position += 1
                if not (at_root and found.name == LOCKS):
                    yield position, found

    def _page_at(self, position: int) -> Sequence[Found]:
        """The page that holds a rank; empty when the directory has no more names than that."""
        if self._page_start <= position < self._page_start + len(self._page):
            return self._page
        nearest = bisect_right(self._starts, position) - 1
        while True:
            start, after = self._starts[nearest], self._afters[nearest]
            page = self._shown.children(self.directory, after, self.PAGE)
            if not page or position < start + len(page):
                self._page_start, self._page = start, page
                return page
            nearest += 1
            if nearest == len(self._starts):
                self._starts.append(start + len(page))
                self._afters.append(page[-1].name)


class LiveListing:
    """One directory above the states, where names come and go: as it is when it is read from its start."""

    first = 0

    def __init__(self, tree: InodeTree, directory: int) -> None:
        self.directory = directory
        self._shown = tree.shown
        self._all: Sequence[Found] | None = None

    def read(self, position: int) -> Iterator[tuple[int, Found]]:
        """What is found from a rank on, each with the rank that follows it."""
        if position == 0 or self._all is None:
            self._all = self._shown.children(self.directory, limit=sys.maxsize)
        yield from enumerate(self._all[position:], position + 1)
