"""All recorded states of a bucket as directories: what a mount without ``--at`` shows.

::

    ids/ID/            a state, by its full id; ids/BEGINNING is a link to it that no listing shows
    times/TIME         a link to ../ids/ID; the other states of a second are TIME-ID, with a short id; none in doubt
    latest             a link to ids/ID: what ``--at latest`` means; absent when it means none
    .rwm/hidden/ID     the hidden keys of a state, one a line

The list of states is read anew when another process has changed the index, once a second at most. Nothing of the
states themselves is kept but the trees of those that were used last. A state's number is the upper part of the ids of
its directories.

As with ``--at``, a state that may be forged, or is not whole any more, is never meant by a time: its id names it.

A state that is forgotten leaves the listings. Where somebody has looked into it, its name fails from then on, as all
below does: restic, which may be in the middle of it, would take what is absent for an empty repository.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from rwm.console import SHORT_ID, escape
from rwm.errors import StateNotFound
from rwm.model import RecordedState, StateInfo, TreeNode, Trust, UploadOrder
from rwm.times import iso
from rwmfs.tree.contents import Found, Link, Text, facts

if TYPE_CHECKING:
    from rwm.index import Index, IndexTree

ROOT, IDS, TIMES, OWN, HIDDEN = range(5)
"""Directory ids above the states, which are numbered from 1 on."""

DIRECTORIES = {ROOT: {"ids": IDS, "times": TIMES, ".rwm": OWN}, OWN: {"hidden": HIDDEN}}
LATEST = "latest"

IN_DOUBT: tuple[Trust, ...] = ("contradicted", "unknown")
"""What ``latest`` and times pass over."""

PAUSE = 1.0
"""Seconds between two readings of the list: ten thousand states take a twentieth of one."""

TREES = 32
"""Trees of states that are kept. Each remembers which directories it has seen."""

HIDDEN_MAX = 1 << 20
"""Bytes of a list of hidden keys, about."""

_BITS = 64
_STATE_ROOT = 0
"""Stands for the root of any state. The index has no directory of that number."""

_BEGINNING = re.compile(r"[0-9a-f]{8,63}")

Answer = TypeVar("Answer")


class Recorded:
    """The states of a bucket at one time, by what they are called here. Never changed."""

    def __init__(self, states: Sequence[RecordedState], moments: Mapping[str, int], latest: StateInfo | None) -> None:
        """``states`` are sorted by moment; one without a moment was forgotten between two looks at the index."""
        states = [state for state in states if state.info.id in moments]
        self.newest = states[-1].info if states else None
        self.by_id = {state.info.id: state.info for state in states}
        self.latest = self.by_id.get(latest.id) if latest else None
        self.by_time = times([state.info for state in states if state.trust not in IN_DOUBT], moments)
        self.time_of = {info.id: name for name, info in self.by_time.items()}
        self.ids = sorted(self.by_id)
        self.times = sorted(self.by_time)

    def beginning(self, text: str) -> StateInfo | None:
        """The one state whose id begins with 8 digits or more; None when there is none, or several."""
        if not _BEGINNING.fullmatch(text):
            return None
        found = self.ids[bisect_left(self.ids, text) : bisect_left(self.ids, text + "g")]
        return self.by_id[found[0]] if len(found) == 1 else None


def times(states: Iterable[StateInfo], moments: Mapping[str, int]) -> dict[str, StateInfo]:
    """A name made of its time for each state.

    The plain time is the name of the state at the second's first moment. So a name never means another state because
    one of its second was forgotten.
    """
    names: dict[str, StateInfo] = {}
    for info in states:
        time = iso(info.captured_at)
        name = time if moments[info.id] == info.captured_at else f"{time}-{info.id[:SHORT_ID]}"
        names[name if name not in names else f"{time}-{info.id}"] = info
    return names


def hidden_text(keys: Iterable[str], state_id: str) -> bytes:
    """One key a line, control characters made visible, sorted; cut off, with a last line that says so, at some size."""
    lines: list[str] = []
    size = 0
    for key in keys:
        if size > HIDDEN_MAX:
            rest = f"... and more: rwm state show --hidden {state_id[:SHORT_ID]}"
            return "".join(f"{line}\n" for line in [*sorted(lines), rest]).encode()
        lines.append(escape(key))
        size += len(lines[-1].encode()) + 1
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


class Browse:
    """Implements :class:`rwmfs.tree.contents.Contents` over the states of one bucket in an index.

    ``pause`` is how many seconds the list of states is not read again for.
    """

    def __init__(self, index: Index, bucket: str, pause: float = PAUSE) -> None:
        self.root = ROOT
        self.label = bucket
        self._index = index
        self._bucket = bucket
        self._numbers: dict[str, int] = {}
        self._infos: list[StateInfo] = []
        self._trees: OrderedDict[int, IndexTree] = OrderedDict()
        self._used: dict[str, StateInfo] = {}  # what somebody has looked into, by id and by name in times/
        self._pause = pause
        self._changes = index.changes()
        self._recorded = self._read()

    def recorded(self) -> Recorded:
        """The states as they are now, or were a moment ago."""
        if monotonic() >= self._next and (changes := self._index.changes()) != self._changes:
            self._recorded = self._read()
            self._changes = changes
        return self._recorded

    def _read(self) -> Recorded:
        try:
            latest = self._index.resolve(LATEST, self._bucket)
        except StateNotFound:
            latest = None
        recorded = Recorded(self._index.recorded(self._bucket), self._index.moments(self._bucket), latest)
        self._next = monotonic() + self._pause
        return recorded

    # --- directories

    def child(self, directory: int, name: str) -> Found | None:
        """What has that name in a directory, or None."""
        number, inner = divmod(directory, 1 << _BITS)
        if not number:
            return self._above(self.recorded(), directory, name) or self._gone(directory, name)
        found = self._within(number, lambda tree: tree.child(inner or tree.root, name))
        return found and _numbered(number, found)

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[Found]:
        """Up to ``limit`` children with ``name > after``, sorted by name."""
        number, inner = divmod(directory, 1 << _BITS)
        if number:
            found = self._within(number, lambda tree: tree.children(inner or tree.root, after, limit))
            return [_numbered(number, node) for node in found]
        recorded = self.recorded()
        names = _names(recorded, directory)
        start = bisect_right(names, after)
        nodes = (self._above(recorded, directory, name) for name in names[start : start + limit])
        return [node for node in nodes if node is not None]

    def _above(self, recorded: Recorded, directory: int, name: str) -> Found | None:
        """What has that name in a directory above the states."""
        if directory == IDS:
            if name in recorded.by_id:
                return TreeNode(name, self._number(recorded.by_id[name]) << _BITS | _STATE_ROOT, None)
            info = recorded.beginning(name)
            return Link(name, info.id, info.captured_at) if info else None
        if directory == TIMES:
            info = recorded.by_time.get(name)
            return Link(name, f"../ids/{info.id}", info.captured_at) if info else None
        if directory == HIDDEN:
            info = recorded.by_id.get(name)
            return Text(name, partial(self._hidden, info), info.captured_at) if info else None
        if directory == ROOT and name == LATEST:
            info = recorded.latest
            return Link(name, f"ids/{info.id}", info.captured_at) if info else None
        below = DIRECTORIES[directory].get(name)
        return None if below is None else TreeNode(name, below, None)

    def _gone(self, directory: int, name: str) -> Link | None:
        """The same for what is not listed any more, of the states that somebody has looked into."""
        if directory == IDS and name in self._used:
            raise _lost(name)
        if directory == IDS and _BEGINNING.fullmatch(name):
            info = next((info for info in self._used.values() if info.id.startswith(name)), None)
            return Link(name, info.id, info.captured_at) if info else None
        if directory == TIMES and name in self._used:
            info = self._used[name]
            return Link(name, f"../ids/{info.id}", info.captured_at)
        return None

    def _hidden(self, info: StateInfo) -> bytes:
        try:
            return hidden_text(self._index.tree(info).hidden_keys(), info.id)
        except StateNotFound:
            raise _lost(info.id) from None

    # --- states

    def is_root(self, directory: int) -> bool:
        """Whether it is the root of a state."""
        number, inner = divmod(directory, 1 << _BITS)
        return number > 0 and inner == _STATE_ROOT

    def state(self, directory: int) -> StateInfo | None:
        """The state that it is a directory of; None above the states."""
        number = directory >> _BITS
        return self._infos[number - 1] if number else None

    def newest(self) -> StateInfo | None:
        """The newest state; None when there is none."""
        return self.recorded().newest

    def upload_order(self, info: StateInfo) -> UploadOrder:
        """The packs of one of the states in the order of their upload."""
        return self._index.upload_order(info)

    def facts(self, info: StateInfo) -> dict[str, str]:
        """Id, time and trust."""
        try:
            return facts(info, self._index.trust(info))
        except StateNotFound:
            raise _lost(info.id) from None

    def _number(self, info: StateInfo) -> int:
        """The state's number: the same for the life of the mount, even if it is forgotten and comes back."""
        number = self._numbers.get(info.id)
        if number is None:
            self._infos.append(info)
            number = self._numbers[info.id] = len(self._infos)
        return number

    def _within(self, number: int, ask: Callable[[IndexTree], Answer]) -> Answer:
        """What the tree of a state answers."""
        info = self._infos[number - 1]
        try:
            tree, answer = self._ask(info, self._trees.pop(number, None), ask)
        except StateNotFound:
            raise _lost(info.id) from None
        self._trees[number] = tree
        if len(self._trees) > TREES:
            self._trees.popitem(last=False)
        self._used[info.id] = self._used[self._recorded.time_of.get(info.id, info.id)] = info
        return answer

    def _ask(
        self, info: StateInfo, known: IndexTree | None, ask: Callable[[IndexTree], Answer]
    ) -> tuple[IndexTree, Answer]:
        """The state's tree and its answer; another tree when the state has come back since, at another moment."""
        if known is not None:
            with suppress(StateNotFound):
                return known, ask(known)
        tree = self._index.tree(info)
        return tree, ask(tree)


def _names(recorded: Recorded, directory: int) -> Sequence[str]:
    """Names in a directory above the states, sorted."""
    if directory in (IDS, HIDDEN):
        return recorded.ids
    if directory == TIMES:
        return recorded.times
    latest = [LATEST] if directory == ROOT and recorded.latest else []
    return sorted([*DIRECTORIES[directory], *latest])


def _numbered(number: int, node: TreeNode) -> TreeNode:
    """A node of a state's tree, with its directory's id as it is here."""
    return node if node.directory is None else node._replace(directory=number << _BITS | node.directory)


def _lost(state_id: str) -> StateNotFound:
    return StateNotFound(f"state {state_id[:SHORT_ID]} is not in the index any more")
