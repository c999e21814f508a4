"""Fetches packs before they are opened, as long as they are opened in the order of their upload.

What is fetched this way and not opened yet, with all that was fetched in vain before, never exceeds an eighth of what
readers have read so far: whoever reads little gets nothing in vain, and what nobody opens stays small beside the rest.
While all comes from the cache on disk it is half, because that costs no request. And it is no more packs than readers
would have to wait for otherwise, see ``rwmfs.prefetch.depth``.
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

CURIOUS = 3
"""Packs of a state that are opened before its order of upload is looked up: that takes a second for a million."""

SHARE = 8
SHARE_OF_DISK = 2


class PackFetcher(Protocol):
    """Who fetches what is foretold: :class:`rwmfs.read.reader.Reader`."""

    def expect(self, identity: ObjectId) -> bool:
        """Fetch an object that somebody will read; whether it is done."""

    def not_expected(self, identity: ObjectId) -> None:
        """Nobody will read it after all."""

    def is_here(self, identity: ObjectId) -> bool:
        """Whether all of it is in memory."""


class Prefetcher:
    """For one mount; of several states the one that was opened last counts.

    ``order`` finds the order of a state, in a thread; ``ahead`` fetches; ``from_disk`` says whether what is read
    comes from the cache on disk.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        order: Callable[[StateInfo], UploadOrder],
        ahead: PackFetcher,
        from_disk: Callable[[], bool],
    ) -> None:
        self._nursery = nursery
        self._order_of = order
        self._ahead = ahead
        self._from_disk = from_disk
        self._lead = PrefetchDepth()
        self._read = self._in_vain = 0
        self._fetching: dict[int, ObjectId] = {}
        self._order: UploadOrder | None = None
        self._begin(None)

    def _begin(self, state: StateInfo | None) -> None:
        self._end()
        self._state = state
        self._prediction = UploadOrderPrediction()
        self._opened: list[Entry] | None = []  # before its order was known; None: it cannot be known

    def _end(self) -> None:
        """Nothing is foretold of the state any more."""
        self._forget(list(self._fetching))
        if self._order is not None:
            self._order.close()
        self._order = None

    def opened(self, entry: Entry, state: StateInfo) -> None:
        """Somebody opened a file of a state."""
        if not is_pack(entry.key):
            return
        if state != self._state:
            self._begin(state)
        if self._order is not None:
            self._follow(self._order, [entry])
        elif self._opened is not None:
            self._opened.append(entry)
            if len(self._opened) == CURIOUS:
                self._nursery.start_soon(self._look_up, state, self._opened)

    def read(self, size: int) -> None:
        """Somebody read so many bytes."""
        self._read += size

    async def _look_up(self, state: StateInfo, opened: list[Entry]) -> None:
        """Find out in which order the state's packs were uploaded, and catch up with what was opened meanwhile."""
        try:
            order = await trio.to_thread.run_sync(self._order_of, state, abandon_on_cancel=True)
        except RwmError as error:
            if opened is self._opened:
                self._give_up(error)
            return
        if opened is not self._opened:  # another state was begun, be it with this one again
            order.close()
            return
        self._order = order
        self._follow(order, opened)
        opened.clear()

    def _give_up(self, error: RwmError) -> None:
        log.warning("no packs are fetched ahead: %s", error.message)
        self._end()
        self._opened = None

    def _follow(self, order: UploadOrder, opened: list[Entry]) -> None:
        try:
            for entry in opened:
                if (rank := order.rank(entry)) is not None:
                    foretold = self._fetching.pop(rank, None)
                    if self._prediction.expects(rank):
                        self._judge(foretold)
                    self._prediction.opened(rank)
            self._forget(self._prediction.passed())
            self._foretell(order)
        except RwmError as error:
            self._give_up(error)

    def _judge(self, foretold: ObjectId | None) -> None:
        """Whether what is ahead is enough, now that a pack was opened that was foretold, or not (None)."""
        is_here = foretold is not None and self._ahead.is_here(foretold)
        self._lead.opened(is_here=is_here, others_are=all(map(self._ahead.is_here, self._fetching.values())))

    def _foretell(self, order: UploadOrder) -> None:
        under_way = sum(identity.size for identity in self._fetching.values())
        share = SHARE_OF_DISK if self._from_disk() else SHARE
        allowed = self._read // share - self._in_vain - under_way
        for rank in self._prediction.upcoming(self._lead.packs - len(self._fetching)):
            entry = order.entry(rank)
            if entry is None or entry.size > allowed:
                return
            allowed -= entry.size
            identity = ObjectId(entry.key, entry.version_id, entry.size, entry.etag)
            self._prediction.foretold(rank)
            if self._ahead.expect(identity):
                self._fetching[rank] = identity

    def _forget(self, ranks: list[int]) -> None:
        for rank in ranks:
            if (identity := self._fetching.pop(rank, None)) is not None:
                self._in_vain += identity.size
                self._ahead.not_expected(identity)


def is_pack(key: str) -> bool:
    """Whether a key is that of one of restic's packs."""
    return expected_sha256(key) is not None and key.split("/")[-3:-2] == ["data"]
