"""What is asked of an index every day, in milliseconds: states, one state, directories, differences."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.clock import wall_of
from bench.table import median
from rwm.index import Index, IndexTree
from rwm.model import StateInfo

DIRECTORIES = 8
PAGE = 1000
_PER_PAGE = "1,000 entries of a directory"


class Answered(NamedTuple):
    """Milliseconds that an answer took, and how many items it had."""

    ms: float
    items: int


def questions(path: Path, bucket: str, rounds: int) -> dict[str, Answered]:
    """What each question took, the median of a few rounds, each with a connection of its own."""
    found: dict[str, list[Answered]] = {}
    for _ in range(rounds):
        with Index.open(path, readonly=True) as index:
            for name, ask in _asked(index, bucket).items():
                gc.collect()  # what was answered before is not part of this
                items, seconds = wall_of(ask)
                if name.startswith(_PER_PAGE):  # a small index has fewer in a directory
                    items, seconds = PAGE, seconds * PAGE / items
                found.setdefault(name, []).append(Answered(seconds * 1000, items))
    return {name: Answered(median([each.ms for each in all_]), all_[-1].items) for name, all_ in found.items()}


def _asked(index: Index, bucket: str) -> dict[str, Callable[[], int]]:
    """Each question by its name; the answer is counted."""
    states = index.states(bucket)
    first, before, last = states[0], states[max(0, len(states) - 2)], states[-1]
    return {
        "all states (state list)": lambda: len(index.states(bucket)),
        "a state by 8 digits of its id": lambda: len([index.resolve(last.id[:8], bucket)]),
        f"{_PER_PAGE}, newest state": lambda: _directories(index, last),
        f"{_PER_PAGE}, oldest state": lambda: _directories(index, first),
        "differences of the last two states": lambda: len(index.differences(before, last)),
        "differences of the first and the last": lambda: len(index.differences(first, last)),
    }


def _directories(index: Index, info: StateInfo) -> int:
    """Read a few directories of packs page by page, as a mount does; how many entries that were."""
    tree = index.tree(info)
    data = tree.child(tree.root, "data")
    assert data is not None and data.directory is not None
    some = [node.directory for node in tree.children(data.directory, limit=DIRECTORIES)]
    return sum(_entries(tree, directory) for directory in some if directory is not None)


def _entries(tree: IndexTree, directory: int) -> int:
    count, after = 0, ""
    while page := tree.children(directory, after, PAGE):
        count += len(page)
        after = page[-1].name
    return count
