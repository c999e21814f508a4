"""Prefetches the packs of one repository in one state, while they are opened in upload order.

The budget (``rwmfs.prefetch.budget``) bounds the bytes, the depth (``rwmfs.prefetch.depth``) the number of packs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import trio

from rwm.errors import RwmError
from rwm.model import Entry, UploadOrder
from rwmfs.object_id import ObjectId
from rwmfs.prefetch.budget import PrefetchBudget
from rwmfs.prefetch.depth import PrefetchDepth
from rwmfs.prefetch.upload_order import UploadOrderPrediction

log = logging.getLogger(__name__)

OPENS_BEFORE_LOOKUP = 3
"""Packs that are opened before the upload order is looked up, which takes a second for a million packs."""


class PackFetcher(Protocol):
    """Carries out the decisions: :class:`rwmfs.read.scheduler.Scheduler`. Called in the trio thread; never blocks."""

    def prefetch(self, object_id: ObjectId) -> bool:
        """Fetch an object before it is opened; False if that is not useful."""

    def cancel_prefetch(self, object_id: ObjectId) -> None:
        """Cancel an unused prefetch and drop what it fetched."""

    def is_buffered(self, object_id: ObjectId) -> bool:
        """Whether all of an object is in memory."""


class RepositoryPrefetcher:
    """Prefetches for one repository in one state, in the trio thread.

    ``find_order`` looks up the upload order; it runs in a worker thread.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        find_order: Callable[[], UploadOrder],
        fetcher: PackFetcher,
        budget: PrefetchBudget,
    ) -> None:
        self._nursery = nursery
        self._find_order = find_order
        self._fetcher = fetcher
        self._budget = budget
        self._depth = PrefetchDepth()
        self._prediction = UploadOrderPrediction()
        self._prefetched: dict[int, ObjectId] = {}  # by rank; not opened yet
        self._order: UploadOrder | None = None  # once it was looked up
        self._early_opens: list[Entry] = []  # opens before the order is known
        self._is_stopped = False
        self.last_open = 0
        """Set by the owner: when a pack was opened last, in its own count."""

    def record_open(self, entry: Entry) -> None:
        """Record that a pack is opened; starts and cancels prefetches."""
        if self._is_stopped:
            return
        if self._order is not None:
            self._follow(self._order, [entry])
            return
        self._early_opens.append(entry)
        if len(self._early_opens) == OPENS_BEFORE_LOOKUP:
            self._nursery.start_soon(self._look_up_order)

    def stop(self) -> None:
        """Cancel all prefetches, close the order, and ignore opens from now on."""
        self._is_stopped = True
        self._cancel(list(self._prefetched))
        self._early_opens.clear()
        if self._order is not None:
            self._order.close()
        self._order = None

    async def _look_up_order(self) -> None:
        """Look up the upload order, then process the opens until then."""
        try:
            order = await trio.to_thread.run_sync(self._find_order, abandon_on_cancel=True)
        except RwmError as error:
            self._stop_on(error)
            return
        if self._is_stopped:
            order.close()
            return
        self._order = order
        self._follow(order, self._early_opens)
        self._early_opens.clear()

    def _stop_on(self, error: RwmError) -> None:
        """Stop because of an error, which is logged."""
        if not self._is_stopped:
            log.warning("no packs are fetched ahead: %s", error.message)
            self.stop()

    def _follow(self, order: UploadOrder, opened: list[Entry]) -> None:
        """Process opens: adapt the depth, cancel wrong prefetches, start new ones."""
        try:
            for entry in opened:
                if (rank := order.rank(entry)) is not None:
                    prefetched = self._take_opened(rank)
                    if self._prediction.predicts(rank):
                        self._adapt_depth(prefetched)
                    self._prediction.record_open(rank)
            self._cancel(self._prediction.take_mispredicted())
            self._prefetch_upcoming(order)
        except RwmError as error:
            self._stop_on(error)

    def _take_opened(self, rank: int) -> ObjectId | None:
        """Remove an opened pack from those that are prefetched; None if it is not among them."""
        object_id = self._prefetched.pop(rank, None)
        if object_id is not None:
            self._budget.record_open(object_id.size)
        return object_id

    def _adapt_depth(self, prefetched: ObjectId | None) -> None:
        """Adapt the depth to the open of a predicted pack, which was prefetched or not (None)."""
        is_hit = prefetched is not None and self._fetcher.is_buffered(prefetched)
        are_others_buffered = all(map(self._fetcher.is_buffered, self._prefetched.values()))
        self._depth.adapt(is_hit=is_hit, are_others_buffered=are_others_buffered)

    def _prefetch_upcoming(self, order: UploadOrder) -> None:
        """Start prefetches up to the depth, within the budget."""
        left = self._budget.left
        for rank in self._prediction.upcoming(self._depth.packs - len(self._prefetched)):
            entry = order.entry(rank)
            if entry is None or entry.size > left:
                return
            left -= entry.size
            object_id = ObjectId(entry.key, entry.version_id, entry.size, entry.etag)
            self._prediction.record_prefetch(rank)
            if self._fetcher.prefetch(object_id):
                self._prefetched[rank] = object_id
                self._budget.record_prefetch(object_id.size)

    def _cancel(self, ranks: list[int]) -> None:
        for rank in ranks:
            if (object_id := self._prefetched.pop(rank, None)) is not None:
                self._budget.record_cancel(object_id.size)
                self._fetcher.cancel_prefetch(object_id)
