"""Query times of an index: all states, one state, directories, differences."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.clock import wall_of
from bench.table import median
from rwm.index import Index, IndexTree
from rwm.location import Location
from rwm.model import StateInfo

DIRECTORIES = 8
PAGE = 1000
_PER_PAGE = "1,000 entries of a directory"


class QueryCost(NamedTuple):
    """Milliseconds of a query, and the number of items in its result."""

    ms: float
    items: int


def measure_queries(path: Path, bucket: str, rounds: int) -> dict[str, QueryCost]:
    """The cost of each query: the median of the rounds, each with its own connection."""
    found: dict[str, list[QueryCost]] = {}
    for _ in range(rounds):
        with Index.open(path, readonly=True) as index:
            for name, query in _queries(index, bucket).items():
                gc.collect()  # of the previous query
                items, seconds = wall_of(query)
                if name.startswith(_PER_PAGE):  # a directory of a small index has fewer
                    items, seconds = PAGE, seconds * PAGE / items
                found.setdefault(name, []).append(QueryCost(seconds * 1000, items))
    return {name: QueryCost(median([each.ms for each in all_]), all_[-1].items) for name, all_ in found.items()}


def _queries(index: Index, bucket: str) -> dict[str, Callable[[], int]]:
    """The queries by name. Each returns the number of items in its result."""
    states = index.states(Location(bucket))
    first, before, last = states[0], states[max(0, len(states) - 2)], states[-1]
    return {
        "all states (state list)": lambda: len(index.states(Location(bucket))),
        "a state by 8 digits of its id": lambda: len([index.resolve(last.id[:8], Location(bucket))]),
        f"{_PER_PAGE}, newest state": lambda: _directories(index, last),
        f"{_PER_PAGE}, oldest state": lambda: _directories(index, first),
        "differences of the last two states": lambda: len(index.differences(before, last)),
        "differences of the first and the last": lambda: len(index.differences(first, last)),
    }


def _directories(index: Index, info: StateInfo) -> int:
    """Read a few directories of packs page by page, as a mount does. Returns the number of entries."""
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
