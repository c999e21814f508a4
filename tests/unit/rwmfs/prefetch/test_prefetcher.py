"""Prefetches: of each repository that is read, in its upload order, within the budget."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from rwm.errors import IndexUnusable, StateNotFound
from rwm.model import Entry, StateInfo, UploadOrder
from rwmfs.object_id import ObjectId
from rwmfs.prefetch.budget import DISK_DIVISOR, DIVISOR
from rwmfs.prefetch.depth import MAX_PACKS, MIN_PACKS
from rwmfs.prefetch.prefetcher import IDLE_OPENS, MAX_REPOSITORIES, Prefetcher, repository_of_pack
from rwmfs.prefetch.repository import OPENS_BEFORE_LOOKUP
from rwmfs.read.request_size import HITS_IN_A_ROW, RequestSizer
from tests.unit.fakes import FakeOrder
from tests.unit.reading import MIB, settled

SIZE = MIB
PLENTY = 1000 * DIVISOR * SIZE


def state(number: int) -> StateInfo:
    return StateInfo(f"{number:064}", "bucket1", number * 1000, "capture", 100, 100)


def entries(count: int, state: int = 1, root: str = "") -> list[Entry]:
    return [Entry(f"{root}data/aa/{state:032}{number:032}", "v", SIZE, "e", number) for number in range(count)]


class Order(FakeOrder):
    """Records whether it was closed; fails after ``answers`` look-ups."""

    def __init__(self, of: list[Entry], answers: int = 10**9) -> None:
        super().__init__(of)
        self.closed = False
        self._answers = answers

    def rank(self, entry: Entry) -> int | None:
        self._answers -= 1
        if self._answers < 0:
            raise IndexUnusable("index (temporary): disk I/O error")
        return super().rank(entry)

    def close(self) -> None:
        super().close()
        self.closed = True


Make = Callable[[StateInfo, str], UploadOrder]


class Fixture:
    """A Prefetcher and a PackFetcher that records its calls.

    ``orders`` are the looked-up orders, ``look_ups`` counts the look-ups. ``buffered`` is what is_buffered() returns.
    """

    def __init__(self, nursery: trio.Nursery, make: Make, memory: int) -> None:
        self.make = make
        self.orders: list[UploadOrder] = []
        self.look_ups = 0
        self.prefetched: list[ObjectId] = []
        self.cancelled: list[ObjectId] = []
        self.accepts = self.buffered = True
        self.sizer = RequestSizer()
        self.prefetcher = Prefetcher(nursery, self._order, self, memory, self.sizer.reads_from_disk)

    def _order(self, info: StateInfo, root: str) -> UploadOrder:
        self.look_ups += 1
        self.orders.append(self.make(info, root))
        return self.orders[-1]

    def prefetch(self, object_id: ObjectId) -> bool:
        self.prefetched.append(object_id)
        return self.accepts

    def cancel_prefetch(self, object_id: ObjectId) -> None:
        self.cancelled.append(object_id)

    def is_buffered(self, object_id: ObjectId) -> bool:
        return self.buffered

    async def open(self, opened: list[Entry], info: StateInfo) -> None:
        for entry in opened:
            self.prefetcher.record_open(entry, info)
            await settled()

    @property
    def keys(self) -> list[str]:
        return [object_id.key for object_id in self.prefetched]


@asynccontextmanager
async def prefetching(make: Make, memory: int = PLENTY) -> AsyncIterator[Fixture]:
    async with trio.open_nursery() as nursery:
        yield Fixture(nursery, make, memory)


def test_the_next_packs_are_prefetched_once_opens_follow_the_order() -> None:
    packs = entries(40)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(packs[:3], state(1))
            assert fixture.prefetched == []
            await fixture.open(packs[3:4], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 4 + MIN_PACKS]]
            await fixture.open(packs[4:20], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 20 + MIN_PACKS]]
            assert fixture.cancelled == []
            assert fixture.look_ups == 1

    trio.run(main)


def test_misses_increase_the_depth() -> None:
    packs = entries(60)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            fixture.buffered = False
            await fixture.open(packs[:30], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 30 + MAX_PACKS]]
            fixture.buffered = True
            await fixture.open(packs[30:40], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 40 + MIN_PACKS]]

    trio.run(main)


def test_a_repeated_open_does_not_change_the_depth() -> None:
    packs = entries(60)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(packs[:10], state(1))
            fixture.buffered = False
            await fixture.open(packs[5:10], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 10 + MIN_PACKS]]

    trio.run(main)


def test_a_predicted_pack_that_was_not_prefetched_is_a_miss() -> None:
    packs = entries(60)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            await fixture.open(packs[:20], state(1))
            assert not fixture.keys, "the budget is too small"
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(packs[20:21], state(1))
            assert fixture.keys == [entry.key for entry in packs[21 : 21 + MAX_PACKS]]

    trio.run(main)


def test_opens_during_the_lookup_count() -> None:
    packs, go = entries(40), threading.Event()

    def make(*_: object) -> UploadOrder:
        go.wait(300)
        return Order(packs)

    async def main() -> None:
        async with prefetching(make) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(packs[:10], state(1))
            assert fixture.prefetched == []
            go.set()
            while not fixture.prefetched:
                await settled()
            assert fixture.keys == [entry.key for entry in packs[10 : 10 + MAX_PACKS]]

    trio.run(main)


def test_no_lookup_for_a_few_opens_or_for_other_files() -> None:
    async def main() -> None:
        async with prefetching(lambda *_: Order([])) as fixture:
            await fixture.open(entries(OPENS_BEFORE_LOOKUP - 1), state(1))
            await fixture.open([Entry(f"index/{n:064}", "v", 1, "e", n) for n in range(10)], state(1))
            assert fixture.look_ups == 0

    trio.run(main)


@pytest.mark.parametrize("count", [0, 1])
def test_a_state_with_hardly_a_pack_prefetches_nothing(count: int) -> None:
    async def main() -> None:
        async with prefetching(lambda *_: Order(entries(count))) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(entries(20), state(1))
            assert fixture.prefetched == []

    trio.run(main)


def test_prefetches_end_with_the_order() -> None:
    packs = entries(10)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(packs, state(1))
            assert fixture.keys == [entry.key for entry in packs[4:]]

    trio.run(main)


def test_unopened_prefetches_stay_within_the_budget() -> None:
    packs = entries(2000)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            read, opened = 0, set[str]()
            for first in range(0, 2000, 50):  # four in order, then elsewhere: what was predicted was wrong
                for entry in packs[first : first + 6]:
                    await fixture.open([entry], state(1))
                    read += SIZE
                    fixture.prefetcher.record_read(SIZE)
                    opened.add(entry.key)
                    vain = sum(object_id.size for object_id in fixture.prefetched if object_id.key not in opened)
                    assert vain <= read / DIVISOR
            assert fixture.prefetched

    trio.run(main)


def test_the_budget_is_larger_while_all_reads_hit_the_disk_cache() -> None:
    packs = entries(60)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            fixture.prefetcher.record_read(2 * DISK_DIVISOR * SIZE)
            await fixture.open(packs[:8], state(1))
            assert not fixture.keys
            for _ in range(HITS_IN_A_ROW):
                fixture.sizer.record_hit(SIZE)
            await fixture.open(packs[8:9], state(1))
            assert fixture.keys == [pack.key for pack in packs[9:11]]
            fixture.sizer.record_response(SIZE, 0.01)
            await fixture.open(packs[9:12], state(1))
            assert len(fixture.keys) == 2

    trio.run(main)


def test_a_refused_prefetch_is_not_repeated() -> None:
    packs = entries(40)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs)) as fixture:
            fixture.accepts = False
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(packs[:8], state(1))
            assert len(fixture.keys) == len(set(fixture.keys))

    trio.run(main)


# --- several repositories ------------------------------------------------------------------------------------

ROOTS = ["", "host1/", "sites/a/host2/"]


def test_repositories_that_are_read_at_once_have_their_own_predictions() -> None:
    """Two states of three repositories, one pack of each in turn."""
    places = [(state(number), root) for number in (1, 2) for root in ROOTS]
    packs = {(info.id, root): entries(20, number, root) for number, (info, root) in enumerate(places)}

    async def main() -> None:
        async with prefetching(lambda info, root: Order(packs[info.id, root])) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            for number in range(20):
                for info, root in places:
                    await fixture.open([packs[info.id, root][number]], info)
            assert fixture.look_ups == len(places)
            for opened in packs.values():
                prefetched = [key for key in fixture.keys if key in {entry.key for entry in opened}]
                assert prefetched == [entry.key for entry in opened[4:]]
            assert fixture.cancelled == []

    trio.run(main)


def test_the_depth_of_a_repository_does_not_depend_on_others() -> None:
    one, two = entries(60, 1, "host1/"), entries(60, 2, "host2/")

    async def main() -> None:
        async with prefetching(lambda _, root: Order(one if root == "host1/" else two)) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            fixture.buffered = False
            await fixture.open(one[:30], state(1))
            fixture.buffered = True
            await fixture.open(two[:10], state(1))
            assert fixture.keys[-1] == two[10 + MIN_PACKS - 1].key

    trio.run(main)


def test_unopened_prefetches_of_all_repositories_fit_into_memory() -> None:
    packs = {root: entries(60, number, root) for number, root in enumerate(ROOTS)}

    async def main() -> None:
        async with prefetching(lambda _, root: Order(packs[root]), memory=5 * SIZE) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            opened = set[str]()
            for number in range(40):
                for root in ROOTS:
                    opened.add(packs[root][number].key)
                    await fixture.open([packs[root][number]], state(1))
                    assert len(set(fixture.keys) - opened) <= 5
            assert len(fixture.keys) > 40

    trio.run(main)


def test_the_least_recently_read_repository_beyond_a_limit_is_stopped() -> None:
    infos = [state(number) for number in range(MAX_REPOSITORIES + 1)]
    packs = {info.id: entries(40, number) for number, info in enumerate(infos)}

    async def main() -> None:
        async with prefetching(lambda info, _: Order(packs[info.id])) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            for info in infos[:-1]:
                await fixture.open(packs[info.id][:4], info)
            assert fixture.cancelled == []
            await fixture.open(packs[infos[0].id][4:5], infos[0])
            await fixture.open(packs[infos[-1].id][:4], infos[-1])
            assert [object_id.key for object_id in fixture.cancelled] == [
                entry.key for entry in packs[infos[1].id][4 : 4 + MIN_PACKS]
            ]
            assert [order.closed for order in fixture.orders if isinstance(order, Order)].index(True) == 1

    trio.run(main)


def test_a_repository_is_stopped_after_many_opens_elsewhere_and_starts_again() -> None:
    one, two = entries(40, 1, "host1/"), entries(IDLE_OPENS + 1, 2, "host2/")

    async def main() -> None:
        async with prefetching(lambda _, root: Order(one if root == "host1/" else two)) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(one[:4], state(1))
            for entry in two[:IDLE_OPENS]:
                fixture.prefetcher.record_open(entry, state(1))
            assert fixture.cancelled == []
            fixture.prefetcher.record_open(two[IDLE_OPENS], state(1))
            assert [object_id.key for object_id in fixture.cancelled] == [e.key for e in one[4 : 4 + MIN_PACKS]]
            await settled()
            await fixture.open(one[4:8], state(1))
            assert fixture.keys[-MIN_PACKS:] == [entry.key for entry in one[8 : 8 + MIN_PACKS]]

    trio.run(main)


def test_orders_found_too_late_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two states in turn, before any order is found: the last one counts."""
    monkeypatch.setattr("rwmfs.prefetch.prefetcher.MAX_REPOSITORIES", 1)
    go = threading.Event()

    def make(*_: object) -> UploadOrder:
        go.wait(300)
        return Order(entries(40))

    async def main() -> None:
        async with prefetching(make) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            for info in (state(1), state(2), state(1)):
                await fixture.open(entries(4), info)
            go.set()
            while len(fixture.orders) < 3 or not fixture.prefetched:
                await settled()
            closed = [order.closed for order in fixture.orders if isinstance(order, Order)]
            assert sorted(closed) == [False, True, True]
            assert len(fixture.keys) == MIN_PACKS

    trio.run(main)


# --- failures ------------------------------------------------------------------------------------------------


def test_a_failed_lookup_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    def make(*_: object) -> UploadOrder:
        raise StateNotFound("state 1 is not in the index any more")

    async def main() -> None:
        async with prefetching(make) as fixture:
            await fixture.open(entries(20), state(1))
            assert fixture.look_ups == 1
            await fixture.open(entries(20), state(2))
            assert fixture.look_ups == 2

    trio.run(main)
    assert caplog.text.count("no packs are fetched ahead: state 1 is not in the index any more") == 2


def test_a_failing_order_is_closed_and_its_prefetches_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    packs = entries(40)

    async def main() -> None:
        async with prefetching(lambda *_: Order(packs, answers=6)) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(packs[:30], state(1))
            assert fixture.look_ups == 1
            assert [order.closed for order in fixture.orders if isinstance(order, Order)] == [True]
            opened = {entry.key for entry in packs[:6]}
            assert [object_id.key for object_id in fixture.cancelled] == [
                key for key in fixture.keys if key not in opened
            ]

    trio.run(main)
    assert caplog.text.count("no packs are fetched ahead") == 1


def test_a_failed_lookup_of_a_stopped_repository_is_ignored(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwmfs.prefetch.prefetcher.MAX_REPOSITORIES", 1)
    go = threading.Event()

    def make(info: StateInfo, _: str) -> UploadOrder:
        if info == state(2):
            return Order(entries(40))
        go.wait(300)
        raise StateNotFound("gone")

    async def main() -> None:
        async with prefetching(make) as fixture:
            fixture.prefetcher.record_read(PLENTY)
            await fixture.open(entries(3), state(1))
            await fixture.open(entries(4), state(2))
            go.set()
            await settled()
            assert len(fixture.keys) == MIN_PACKS

    trio.run(main)
    assert not caplog.records


@pytest.mark.parametrize(
    ("key", "root"),
    [
        ("data/aa/" + "0" * 64, ""),
        ("host1/data/aa/" + "0" * 64, "host1/"),
        ("sites/a/data/data/aa/" + "0" * 64, "sites/a/data/"),
        ("data/aa/data/aa/" + "0" * 64, "data/aa/"),
        ("a\nb/data/aa/" + "0" * 64, "a\nb/"),
        ("index/" + "0" * 64, None),
        ("data/" + "0" * 64, None),
        ("xdata/aa/" + "0" * 64, None),
        ("data/aa/" + "0" * 63, None),
        ("config", None),
    ],
)
def test_the_repository_of_a_pack(key: str, root: str | None) -> None:
    assert repository_of_pack(key) == root
