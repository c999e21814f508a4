"""Prefetches packs for a mount: each repository of each state that is read has its own prediction and depth."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import trio

from rwm.model import Entry, StateInfo, UploadOrder
from rwm.restic import expected_sha256
from rwmfs.prefetch.budget import PrefetchBudget
from rwmfs.prefetch.repository import PackFetcher, RepositoryPrefetcher

MAX_REPOSITORIES = 8
"""Repositories to prefetch for; beyond it the least recently read one is stopped. Each has a temporary table."""

IDLE_OPENS = 256
"""Packs that are opened in other repositories after which one is stopped: its prefetches take memory and budget."""


class Prefetcher:
    """Prefetches for one mount.

    The reader reports opens and reads, in the trio thread. ``find_order`` looks up the upload order of the repository
    with a prefix in a state; it runs in a worker thread. ``memory`` limits the bytes of packs that are prefetched and
    not opened yet. ``reads_from_disk`` says whether recent reads all hit the disk cache.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        find_order: Callable[[StateInfo, str], UploadOrder],
        fetcher: PackFetcher,
        memory: int,
        reads_from_disk: Callable[[], bool],
    ) -> None:
        self._nursery = nursery
        self._find_order = find_order
        self._fetcher = fetcher
        self._budget = PrefetchBudget(memory, reads_from_disk)
        self._opens = 0  # of packs
        self._repositories: OrderedDict[tuple[str, str], RepositoryPrefetcher] = OrderedDict()  # by state id, prefix

    def record_open(self, entry: Entry, state: StateInfo) -> None:
        """Record that a file of a state is opened; starts and cancels prefetches."""
        root = repository_of_pack(entry.key)
        if root is None:
            return
        self._opens += 1
        repository = self._repository(state, root)
        repository.last_open = self._opens
        self._stop_unused()
        repository.record_open(entry)

    def record_read(self, size: int) -> None:
        """Record that ``size`` bytes were returned to a reader."""
        self._budget.record_read(size)

    def _repository(self, state: StateInfo, root: str) -> RepositoryPrefetcher:
        """The prefetcher of a repository, now the most recently used one."""
        found = self._repositories.get((state.id, root))
        if found is None:
            find_order = partial(self._find_order, state, root)
            found = RepositoryPrefetcher(self._nursery, find_order, self._fetcher, self._budget)
            self._repositories[state.id, root] = found
        self._repositories.move_to_end((state.id, root))
        return found

    def _stop_unused(self) -> None:
        """Stop repositories that are too many, or were not read for long, the least recently read first."""
        for key, oldest in list(self._repositories.items()):
            if len(self._repositories) <= MAX_REPOSITORIES and self._opens - oldest.last_open <= IDLE_OPENS:
                return
            del self._repositories[key]
            oldest.stop()


def repository_of_pack(key: str) -> str | None:
    """The prefix of the repository that a restic pack is in, by its key; None if it is not that of a pack."""
    above, data, below = f"/{key}".rpartition("/data/")
    if not data or below.count("/") != 1 or expected_sha256(key) is None:
        return None
    return f"{above}/"[1:]
