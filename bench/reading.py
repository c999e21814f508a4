"""What is asked of an index every day, in milliseconds: states, one state, directories, differences."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

from bench.table import median
from rwm.index import Index, IndexTree
from rwm.model import StateInfo

DIRECTORIES = 8
PAGE = 1000


def questions(path: Path, bucket: str, rounds: int) -> dict[str, float]:
    """Milliseconds for each question, the median of a few rounds, each with a connection of its own."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with Index.open(path, readonly=True) as index:
            for name, ask in _asked(index, bucket).items():
                gc.collect()  # what was answered before is not part of this
                started = time.perf_counter()
                answer = ask()
                taken = (time.perf_counter() - started) * 1000
                if isinstance(answer, int):  # so many entries: a small index has fewer in a directory
                    taken *= PAGE / answer
                found.setdefault(name, []).append(taken)
                del answer
    return {name: median(values) for name, values in found.items()}


def _asked(index: Index, bucket: str) -> dict[str, Callable[[], object]]:
    states = index.states(bucket)
    first, before, last = states[0], states[max(0, len(states) - 2)], states[-1]
    return {
        "all states (state list)": lambda: index.states(bucket),
        "a state by 8 digits of its id": lambda: index.resolve(last.id[:8], bucket),
        "1,000 entries of a directory, newest state": lambda: _directories(index, last),
        "1,000 entries of a directory, oldest state": lambda: _directories(index, first),
        "differences of the last two states": lambda: index.differences(before, last),
        "differences of the first and the last": lambda: index.differences(first, last),
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
