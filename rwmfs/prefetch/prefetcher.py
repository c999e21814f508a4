"""Prefetches packs while they are opened in upload order.

**Budget.** Prefetched packs that are not opened yet, and those that were never opened, take together at most an eighth
of the bytes that readers have read so far. So a short restore prefetches little, and waste stays small. While all reads
hit the disk cache it is half, because those cost no requests. The depth (``rwmfs.prefetch.depth``) bounds the number of
packs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import trio

from rwm.errors import RwmError
from rwm.model import Entry, StateInfo, UploadOrder
from rwm.restic import expected_sha256
from rwmfs.object_id import ObjectId
from rwmfs.prefetch.depth import PrefetchDepth
from rwmfs.prefetch.upload_order import UploadOrderPrediction

log = logging.getLogger(__name__)

OPENS_BEFORE_LOOKUP = 3
"""Packs of a state that are opened before its upload order is looked up, which takes a second for a million packs."""

BUDGET_DIVISOR = 8
"""Bytes read so far are divided by this to get the budget."""

DISK_BUDGET_DIVISOR = 2
"""The same while all reads hit the disk cache."""


class PackFetcher(Protocol):
    """Carries out the decisions: :class:`rwmfs.read.scheduler.Scheduler`. Called in the trio thread; never blocks."""

    def prefetch(self, object_id: ObjectId) -> bool:
        """Fetch an object before it is opened; False if that is not useful."""

    def cancel_prefetch(self, object_id: ObjectId) -> None:
        """Cancel an unused prefetch and drop what it fetched."""

    def is_buffered(self, object_id: ObjectId) -> bool:
        """Whether all of an object is in memory."""


class Prefetcher:
    """Prefetches for one mount; of several states, only for the one that was opened last.

    The reader reports opens and reads, in the trio thread. ``order`` looks up the upload order of a state; it runs in a
    worker thread. ``reads_from_disk`` says whether recent reads all hit the disk cache.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        order: Callable[[StateInfo], UploadOrder],
        fetcher: PackFetcher,
        reads_from_disk: Callable[[], bool],
    ) -> None:
        self._nursery = nursery
        self._find_order = order
        self._fetcher = fetcher
        self._reads_from_disk = reads_from_disk
        self._depth = PrefetchDepth()
        self._bytes_read = 0  # by all readers
        self._bytes_wasted = 0  # prefetched and cancelled
        self._prefetched: dict[int, ObjectId] = {}  # by rank; not opened yet
        self._order: UploadOrder | None = None  # of the present state, once it was looked up
        self._start_state(None)

    def record_open(self, entry: Entry, state: StateInfo) -> None:
        """Record that a file of a state is opened; starts and cancels prefetches."""
        if not is_pack(entry.key):
            return
        if state != self._state:
            self._start_state(state)
        if self._order is not None:
            self._follow(self._order, [entry])
        elif self._early_opens is not None:
            self._early_opens.append(entry)
            if len(self._early_opens) == OPENS_BEFORE_LOOKUP:
                self._nursery.start_soon(self._look_up_order, state, self._early_opens)

    def record_read(self, size: int) -> None:
        """Record that ``size`` bytes were returned to a reader."""
        self._bytes_read += size

    def _start_state(self, state: StateInfo | None) -> None:
        self._stop_state()
        self._state = state
        self._prediction = UploadOrderPrediction()
        self._early_opens: list[Entry] | None = []  # opens before the order is known; None if it cannot be known

    def _stop_state(self) -> None:
        """Cancel all prefetches of the state and close its order."""
        self._cancel(list(self._prefetched))
        if self._order is not None:
            self._order.close()
        self._order = None

    async def _look_up_order(self, state: StateInfo, early_opens: list[Entry]) -> None:
        """Look up the upload order of a state, then process the opens until then."""
        try:
            order = await trio.to_thread.run_sync(self._find_order, state, abandon_on_cancel=True)
        except RwmError as error:
            if early_opens is self._early_opens:
                self._disable(error)
            return
        if early_opens is not self._early_opens:  # another state was started meanwhile, or this one again
            order.close()
            return
        self._order = order
        self._follow(order, early_opens)
        early_opens.clear()

    def _disable(self, error: RwmError) -> None:
        """Prefetch nothing more of this state."""
        log.warning("no packs are fetched ahead: %s", error.message)
        self._stop_state()
        self._early_opens = None

    def _follow(self, order: UploadOrder, opened: list[Entry]) -> None:
        """Process opens: adapt the depth, cancel wrong prefetches, start new ones."""
        try:
            for entry in opened:
                if (rank := order.rank(entry)) is not None:
                    prefetched = self._prefetched.pop(rank, None)
                    if self._prediction.predicts(rank):
                        self._adapt_depth(prefetched)
                    self._prediction.record_open(rank)
            self._cancel(self._prediction.take_mispredicted())
            self._prefetch_upcoming(order)
        except RwmError as error:
            self._disable(error)

    def _adapt_depth(self, prefetched: ObjectId | None) -> None:
        """Adapt the depth to the open of a predicted pack, which was prefetched or not (None)."""
        is_hit = prefetched is not None and self._fetcher.is_buffered(prefetched)
        are_others_buffered = all(map(self._fetcher.is_buffered, self._prefetched.values()))
        self._depth.adapt(is_hit=is_hit, are_others_buffered=are_others_buffered)

    def _prefetch_upcoming(self, order: UploadOrder) -> None:
        """Start prefetches up to the depth, within the budget."""
        unopened = sum(object_id.size for object_id in self._prefetched.values())
        divisor = DISK_BUDGET_DIVISOR if self._reads_from_disk() else BUDGET_DIVISOR
        budget = self._bytes_read // divisor - self._bytes_wasted - unopened
        for rank in self._prediction.upcoming(self._depth.packs - len(self._prefetched)):
            entry = order.entry(rank)
            if entry is None or entry.size > budget:
                return
            budget -= entry.size
            object_id = ObjectId(entry.key, entry.version_id, entry.size, entry.etag)
            self._prediction.record_prefetch(rank)
            if self._fetcher.prefetch(object_id):
                self._prefetched[rank] = object_id

    def _cancel(self, ranks: list[int]) -> None:
        for rank in ranks:
            if (object_id := self._prefetched.pop(rank, None)) is not None:
                self._bytes_wasted += object_id.size
                self._fetcher.cancel_prefetch(object_id)


def is_pack(key: str) -> bool:
    """Whether a key is that of a restic pack."""
    return expected_sha256(key) is not None and key.split("/")[-3:-2] == ["data"]
