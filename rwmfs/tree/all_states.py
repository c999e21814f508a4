"""All recorded states that cover a location as directories: the contents of a mount without ``--at``.

Each shows what is below the location::

    ids/ID/            a state, by its full id; ids/PREFIX is an unlisted symbolic link to it
    times/TIME         a link to ../ids/ID; further states of the same second are TIME-ID, with a short id; trusted only
    latest             a link to ids/ID: the state that ``--at latest`` means; absent when there is none
    last-clean         the same for ``--at last-clean``
    .rwm/hidden/ID     the hidden keys of a state, one per line

The catalog of states is read again when another process has changed the index, at most once a second. Of the states
themselves only the trees used last are kept. A directory id has the state's number in its upper bits and the
directory's id in the index in the lower ones.

A forgotten state is no longer listed. If it was in use, its name and everything below fail with an error from then on:
restic may be reading it, and would take ENOENT for an empty repository.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from rwm.console import escape
from rwm.errors import StateNotFound
from rwm.location import Location
from rwm.model import LAST_CLEAN, LATEST, SHORT_ID, StateInfo, TreeNode, UploadOrder
from rwm.repositories import is_repository
from rwmfs.tree.contents import DirEntry, GeneratedFile, Symlink, state_xattrs
from rwmfs.tree.state_catalog import StateCatalog, is_id_prefix

if TYPE_CHECKING:
    from rwm.index import Index, IndexTree

ROOT, IDS, TIMES, DOT_RWM, HIDDEN = range(5)
"""Ids of the directories above the states. States are numbered from 1."""

_NAMED = (LATEST, LAST_CLEAN)
"""Links beside the directories, each to the state that is named so."""

SUBDIRECTORIES = {ROOT: {"ids": IDS, "times": TIMES, ".rwm": DOT_RWM}, DOT_RWM: {"hidden": HIDDEN}}

REFRESH_INTERVAL = 1.0
"""Least seconds between two readings of the catalog: one takes 50 ms for ten thousand states."""

CACHED_TREES = 32
"""State trees to keep, least recently used dropped first. Each caches the directories it has read."""

HIDDEN_KEYS_SIZE = 1 << 20
"""Bytes after which a list of hidden keys is cut off."""

_STATE_SHIFT = 64
_STATE_ROOT = 0
"""Stands for the root directory of any state; no directory in the index has this id."""

Answer = TypeVar("Answer")


def hidden_keys_text(keys: Iterable[str], state_id: str) -> bytes:
    """Keys sorted, one per line, control characters escaped; cut off at HIDDEN_KEYS_SIZE, with a last line on it."""
    lines: list[str] = []
    size = 0
    for key in keys:
        if size > HIDDEN_KEYS_SIZE:
            rest = f"... and more: rwm state show --hidden {state_id[:SHORT_ID]}"
            return "".join(f"{line}\n" for line in [*sorted(lines), rest]).encode()
        lines.append(escape(key))
        size += len(lines[-1].encode()) + 1
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


class AllStates:
    """Implements :class:`rwmfs.tree.contents.Contents` over the states in an index that cover a location.

    ``refresh_interval``: least seconds between two readings of the catalog.
    """

    def __init__(self, index: Index, location: Location, refresh_interval: float = REFRESH_INTERVAL) -> None:
        self.root = ROOT
        self.label = str(location)
        self._index = index
        self._location = location
        self._numbers: dict[str, int] = {}
        self._infos: list[StateInfo] = []
        self._trees: OrderedDict[int, IndexTree] = OrderedDict()
        self._used: dict[str, StateInfo] = {}  # states that were looked into, by id and by name in times/
        self._totals: tuple[str, tuple[int, int]] = ("", (0, 0))  # of the state with that id
        self._refresh_interval = refresh_interval
        self._changes = index.data_version()
        self._catalog = self._read_catalog()

    def catalog(self) -> StateCatalog:
        """The states as of now, at most ``refresh_interval`` old."""
        if monotonic() >= self._next_refresh and (changes := self._index.data_version()) != self._changes:
            self._catalog = self._read_catalog()
            self._changes = changes
        return self._catalog

    def _read_catalog(self) -> StateCatalog:
        from rwm.index import find_last_clean

        states = [state for state in self._index.recorded(self._location) if state.info.location.covers(self._location)]
        named = {}
        with suppress(StateNotFound):
            named[LATEST] = self._index.resolve(LATEST, self._location)
        with suppress(StateNotFound):
            named[LAST_CLEAN] = find_last_clean(states, self._location).info
        catalog = StateCatalog(states, self._index.moments(self._location), named)
        self._next_refresh = monotonic() + self._refresh_interval
        return catalog

    # --- directories

    def child(self, directory: int, name: str) -> DirEntry | None:
        """The entry of that name in a directory, or None."""
        number, inner = divmod(directory, 1 << _STATE_SHIFT)
        if not number:
            return self._child_above(self.catalog(), directory, name) or self._forgotten_child(directory, name)
        found = self._query(number, lambda tree: tree.child(inner or tree.root, name))
        return found and _with_state(number, found)

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[DirEntry]:
        """Up to ``limit`` children with ``name > after``, sorted by name."""
        number, inner = divmod(directory, 1 << _STATE_SHIFT)
        if number:
            nodes = self._query(number, lambda tree: tree.children(inner or tree.root, after, limit))
            return [_with_state(number, node) for node in nodes]
        catalog = self.catalog()
        names = _names(catalog, directory)
        start = bisect_right(names, after)
        entries = (self._child_above(catalog, directory, name) for name in names[start : start + limit])
        return [entry for entry in entries if entry is not None]

    def _child_above(self, catalog: StateCatalog, directory: int, name: str) -> DirEntry | None:
        """The entry of that name in a directory above the states."""
        if directory == IDS:
            if name in catalog.by_id:
                return TreeNode(name, self._number(catalog.by_id[name]) << _STATE_SHIFT | _STATE_ROOT, None)
            info = catalog.by_id_prefix(name)
            return Symlink(name, info.id, info.captured_at) if info else None
        if directory == TIMES:
            info = catalog.by_time.get(name)
            return Symlink(name, f"../ids/{info.id}", info.captured_at) if info else None
        if directory == HIDDEN:
            info = catalog.by_id.get(name)
            return GeneratedFile(name, partial(self._hidden_keys, info), info.captured_at) if info else None
        if directory == ROOT and name in _NAMED:
            info = catalog.named.get(name)
            return Symlink(name, f"ids/{info.id}", info.captured_at) if info else None
        below = SUBDIRECTORIES[directory].get(name)
        return None if below is None else TreeNode(name, below, None)

    def _forgotten_child(self, directory: int, name: str) -> Symlink | None:
        """The link of that name to a forgotten state that was in use; raises StateNotFound for the state itself."""
        if directory == IDS and name in self._used:
            raise _forgotten(name)
        if directory == IDS and is_id_prefix(name):
            info = next((info for info in self._used.values() if info.id.startswith(name)), None)
            return Symlink(name, info.id, info.captured_at) if info else None
        if directory == TIMES and name in self._used:
            info = self._used[name]
            return Symlink(name, f"../ids/{info.id}", info.captured_at)
        return None

    def _hidden_keys(self, info: StateInfo) -> bytes:
        try:
            return hidden_keys_text(self._tree(info).hidden_keys(), info.id)
        except StateNotFound:
            raise _forgotten(info.id) from None

    # --- states

    def is_state_root(self, directory: int) -> bool:
        """Whether it is the root of a state."""
        number, inner = divmod(directory, 1 << _STATE_SHIFT)
        return number > 0 and inner == _STATE_ROOT

    def has_locks(self, directory: int) -> bool:
        """Whether it is the root of a state, or of a repository in one."""
        number, inner = divmod(directory, 1 << _STATE_SHIFT)
        if not number or inner == _STATE_ROOT:
            return number > 0
        return self._query(number, lambda tree: is_repository(tree, inner))

    def state_of(self, directory: int) -> StateInfo | None:
        """The state that a directory belongs to; None above the states."""
        number = directory >> _STATE_SHIFT
        return self._infos[number - 1] if number else None

    def newest_state(self) -> StateInfo | None:
        """The newest state, or None."""
        return self.catalog().newest

    def totals(self) -> tuple[int, int]:
        """Objects and bytes of the newest state, below the location."""
        info = self.newest_state()
        if info is None:
            return 0, 0
        if self._totals[0] != info.id:
            self._totals = (info.id, self._tree(info).totals())
        return self._totals[1]

    def upload_order(self, info: StateInfo, root: str) -> UploadOrder:
        """The packs in a state of the repository whose prefix is ``root``, in upload order."""
        return self._index.upload_order(info, root)

    def state_xattrs(self, info: StateInfo) -> dict[str, str]:
        """Id, time and trust."""
        try:
            return state_xattrs(info, self._index.trust(info))
        except StateNotFound:
            raise _forgotten(info.id) from None

    def _number(self, info: StateInfo) -> int:
        """The state's number, constant for the life of the mount even if the state is forgotten and recorded again."""
        number = self._numbers.get(info.id)
        if number is None:
            self._infos.append(info)
            number = self._numbers[info.id] = len(self._infos)
        return number

    def _query(self, number: int, query: Callable[[IndexTree], Answer]) -> Answer:
        """Query the tree of a state."""
        info = self._infos[number - 1]
        try:
            tree, answer = self._query_tree(info, self._trees.pop(number, None), query)
        except StateNotFound:
            raise _forgotten(info.id) from None
        self._trees[number] = tree
        if len(self._trees) > CACHED_TREES:
            self._trees.popitem(last=False)
        self._used[info.id] = self._used[self._catalog.time_of.get(info.id, info.id)] = info
        return answer

    def _query_tree(
        self, info: StateInfo, cached: IndexTree | None, query: Callable[[IndexTree], Answer]
    ) -> tuple[IndexTree, Answer]:
        """The state's tree and its answer; a new tree if the state was forgotten and recorded at another moment."""
        if cached is not None:
            with suppress(StateNotFound):
                return cached, query(cached)
        tree = self._tree(info)
        return tree, query(tree)

    def _tree(self, info: StateInfo) -> IndexTree:
        """What a state has below the location."""
        return self._index.tree(info, self._location.prefix)


def _names(catalog: StateCatalog, directory: int) -> Sequence[str]:
    """The listed names in a directory above the states, sorted."""
    if directory in (IDS, HIDDEN):
        return catalog.ids
    if directory == TIMES:
        return catalog.times
    named = catalog.named if directory == ROOT else ()
    return sorted([*SUBDIRECTORIES[directory], *named])


def _with_state(number: int, node: TreeNode) -> TreeNode:
    """A node of a state's tree, with the state's number in its directory id."""
    return node if node.directory is None else node._replace(directory=number << _STATE_SHIFT | node.directory)


def _forgotten(state_id: str) -> StateNotFound:
    return StateNotFound(f"state {state_id[:SHORT_ID]} is not in the index any more")
