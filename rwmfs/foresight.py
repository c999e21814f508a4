"""Fetches packs before they are opened, as long as they are opened in the order of their upload.

What is fetched this way and not opened yet never exceeds an eighth of what readers have read so far, so whoever reads
little gets nothing in vain, and what is in vain at the end is small beside what was read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from rwm.content import expected_sha256
from rwm.errors import RwmError
from rwm.model import Entry, StateInfo, UploadOrder
from rwmfs.objectid import ObjectId
from rwmfs.prediction import Prediction

log = logging.getLogger(__name__)

CURIOUS = 3
"""Packs of a state that are opened before its order of upload is looked up: that takes a second for a million."""

PACKS = 8
"""Packs that are fetched at most before they are opened."""

SHARE = 8


class Foresight:
    """For one mount; of several states the one that was opened last counts.

    ``order`` finds the order of a state, in a thread; ``expect`` is asked to fetch an object, and says whether it does;
    ``not_expected`` takes that back.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        order: Callable[[StateInfo], UploadOrder],
        expect: Callable[[ObjectId], bool],
        not_expected: Callable[[ObjectId], None],
    ) -> None:
        self._nursery = nursery
        self._order_of = order
        self._expect = expect
        self._not_expected = not_expected
        self._state: StateInfo | None = None
        self._begin(None)

    def _begin(self, state: StateInfo | None) -> None:
        self._state = state
        self._prediction = Prediction()
        self._order: UploadOrder | None = None
        self._waiting: list[Entry] = []
        self._fetching: dict[int, ObjectId] = {}
        self._read = 0

    def opened(self, entry: Entry, state: StateInfo) -> None:
        """Somebody opened a file of a state."""
        if not is_pack(entry.key):
            return
        if state != self._state:
            self._forget(list(self._fetching))
            self._begin(state)
        if self._order is not None:
            self._follow(self._order, entry)
            return
        self._waiting.append(entry)
        if len(self._waiting) == CURIOUS:
            self._nursery.start_soon(self._look_up, state)

    def read(self, size: int) -> None:
        """Somebody read so many bytes."""
        self._read += size

    async def _look_up(self, state: StateInfo) -> None:
        """Find out in which order the state's packs were uploaded, and catch up with what was opened meanwhile."""
        try:
            order = await trio.to_thread.run_sync(self._order_of, state, abandon_on_cancel=True)
        except RwmError as error:
            log.warning("no packs are fetched ahead: %s", error.message)
            return
        if state != self._state:
            order.close()
            return
        self._order = order
        for entry in self._waiting:
            self._follow(order, entry)
        self._waiting.clear()

    def _follow(self, order: UploadOrder, entry: Entry) -> None:
        try:
            rank = order.rank(entry)
            if rank is None:
                return
            self._fetching.pop(rank, None)
            self._prediction.opened(rank)
            self._forget(self._prediction.passed())
            self._foretell(order)
        except RwmError as error:
            log.warning("no packs are fetched ahead: %s", error.message)
            self._begin(None)

    def _foretell(self, order: UploadOrder) -> None:
        allowed = self._read // SHARE - sum(identity.size for identity in self._fetching.values())
        for rank in self._prediction.upcoming(PACKS - len(self._fetching)):
            entry = order.entry(rank)
            if entry is None or entry.size > allowed:
                return
            allowed -= entry.size
            identity = ObjectId(entry.key, entry.version_id, entry.size, entry.etag)
            self._prediction.foretold(rank)
            if self._expect(identity):
                self._fetching[rank] = identity

    def _forget(self, ranks: list[int]) -> None:
        for rank in ranks:
            if (identity := self._fetching.pop(rank, None)) is not None:
                self._not_expected(identity)


def is_pack(key: str) -> bool:
    """Whether a key is that of one of restic's packs."""
    return expected_sha256(key) is not None and key.split("/")[-3:-2] == ["data"]
