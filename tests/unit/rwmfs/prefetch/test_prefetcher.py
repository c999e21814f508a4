"""Packs that are fetched before they are opened: of the state that is read, in its order, and never much in vain."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from rwm.errors import IndexUnusable, StateNotFound
from rwm.model import Entry, StateInfo, UploadOrder
from rwmfs.object_id import ObjectId
from rwmfs.prefetch.depth import FEW, MOST
from rwmfs.prefetch.prefetcher import CURIOUS, SHARE, SHARE_OF_DISK, Prefetcher, is_pack
from rwmfs.read.request_size import HITS, Pace
from tests.unit.fakes import FakeOrder
from tests.unit.reading import MIB, settled

SIZE = MIB
PLENTY = 1000 * SHARE * SIZE


def state(number: int) -> StateInfo:
    return StateInfo(f"{number:064}", "bucket1", number * 1000, "capture", 100, 100)


def entries(count: int, state: int = 1) -> list[Entry]:
    return [Entry(f"data/aa/{state:032}{number:032}", "v", SIZE, "e", number) for number in range(count)]


class Order(FakeOrder):
    """Knows whether it was closed; ``broken`` after so many questions."""

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


class Fixture:
    """A Prefetcher, and what it asks for. ``orders`` is what was found, ``look_ups`` how often somebody looked.

    ``here`` says whether all that was asked for is here at once.
    """

    def __init__(self, nursery: trio.Nursery, make: Callable[[StateInfo], UploadOrder]) -> None:
        self.make = make
        self.orders: list[UploadOrder] = []
        self.look_ups = 0
        self.expected: list[ObjectId] = []
        self.taken_back: list[ObjectId] = []
        self.worth_it = self.here = True
        self.pace = Pace()
        self.foresight = Prefetcher(nursery, self._order, self, self.pace.from_disk)

    def _order(self, info: StateInfo) -> UploadOrder:
        self.look_ups += 1
        self.orders.append(self.make(info))
        return self.orders[-1]

    def expect(self, identity: ObjectId) -> bool:
        self.expected.append(identity)
        return self.worth_it

    def not_expected(self, identity: ObjectId) -> None:
        self.taken_back.append(identity)

    def is_here(self, identity: ObjectId) -> bool:
        return self.here

    async def open(self, opened: list[Entry], info: StateInfo) -> None:
        for entry in opened:
            self.foresight.opened(entry, info)
            await settled()

    @property
    def keys(self) -> list[str]:
        return [identity.key for identity in self.expected]


@asynccontextmanager
async def foreseeing(make: Callable[[StateInfo], UploadOrder]) -> AsyncIterator[Fixture]:
    async with trio.open_nursery() as nursery:
        yield Fixture(nursery, make)


def test_the_next_packs_are_expected_once_an_order_shows() -> None:
    packs = entries(40)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            fixture.foresight.read(PLENTY)
            await fixture.open(packs[:3], state(1))
            assert fixture.expected == []
            await fixture.open(packs[3:4], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 4 + FEW]]
            await fixture.open(packs[4:20], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 20 + FEW]]
            assert fixture.taken_back == []
            assert fixture.look_ups == 1

    trio.run(main)


def test_the_slower_they_come_the_more_are_on_their_way() -> None:
    packs = entries(60)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            fixture.foresight.read(PLENTY)
            fixture.here = False
            await fixture.open(packs[:30], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 30 + MOST]]
            fixture.here = True
            await fixture.open(packs[30:40], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 40 + FEW]]

    trio.run(main)


def test_a_pack_that_is_opened_again_says_nothing() -> None:
    packs = entries(60)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            fixture.foresight.read(PLENTY)
            await fixture.open(packs[:10], state(1))
            fixture.here = False
            await fixture.open(packs[5:10], state(1))
            assert fixture.keys == [entry.key for entry in packs[4 : 10 + FEW]]

    trio.run(main)


def test_a_pack_that_was_not_foretold_in_time_is_one_that_did_not_come() -> None:
    packs = entries(60)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            await fixture.open(packs[:20], state(1))
            assert not fixture.keys, "so little was read"
            fixture.foresight.read(PLENTY)
            await fixture.open(packs[20:21], state(1))
            assert fixture.keys == [entry.key for entry in packs[21 : 21 + MOST]]

    trio.run(main)


def test_what_was_opened_while_the_order_was_looked_up_counts() -> None:
    packs, go = entries(40), threading.Event()

    def make(_: StateInfo) -> UploadOrder:
        go.wait(10)
        return Order(packs)

    async def main() -> None:
        async with foreseeing(make) as fixture:
            fixture.foresight.read(PLENTY)
            await fixture.open(packs[:10], state(1))
            assert fixture.expected == []
            go.set()
            while not fixture.expected:
                await settled()
            assert fixture.keys == [entry.key for entry in packs[10 : 10 + MOST]]

    trio.run(main)


def test_nothing_is_looked_up_for_a_few_opens_or_for_what_is_no_pack() -> None:
    async def main() -> None:
        async with foreseeing(lambda _: Order([])) as fixture:
            await fixture.open(entries(CURIOUS - 1), state(1))
            await fixture.open([Entry(f"index/{n:064}", "v", 1, "e", n) for n in range(10)], state(1))
            assert fixture.look_ups == 0

    trio.run(main)


@pytest.mark.parametrize("count", [0, 1])
def test_a_state_with_hardly_a_pack_foretells_nothing(count: int) -> None:
    async def main() -> None:
        async with foreseeing(lambda _: Order(entries(count))) as fixture:
            fixture.foresight.read(PLENTY)
            await fixture.open(entries(20), state(1))
            assert fixture.expected == []

    trio.run(main)


def test_the_end_of_the_order_is_the_end_of_what_is_foretold() -> None:
    packs = entries(10)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            fixture.foresight.read(PLENTY)
            await fixture.open(packs, state(1))
            assert fixture.keys == [entry.key for entry in packs[4:]]

    trio.run(main)


def test_never_more_than_a_share_of_what_was_read_is_under_way_or_was_in_vain() -> None:
    packs = entries(2000)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            read, opened = 0, set[str]()
            for first in range(0, 2000, 50):  # four in order, then elsewhere: what was foretold was wrong
                for entry in packs[first : first + 6]:
                    await fixture.open([entry], state(1))
                    read += SIZE
                    fixture.foresight.read(SIZE)
                    opened.add(entry.key)
                    vain = sum(identity.size for identity in fixture.expected if identity.key not in opened)
                    assert vain <= read / SHARE
            assert fixture.expected

    trio.run(main)


def test_while_all_comes_from_disk_more_is_fetched_before() -> None:
    packs = entries(60)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            fixture.foresight.read(2 * SHARE_OF_DISK * SIZE)
            await fixture.open(packs[:8], state(1))
            assert not fixture.keys
            for _ in range(HITS):
                fixture.pace.stored(SIZE)
            await fixture.open(packs[8:9], state(1))
            assert fixture.keys == [pack.key for pack in packs[9:11]]
            fixture.pace.came(SIZE, 0.01)
            await fixture.open(packs[9:12], state(1))
            assert len(fixture.keys) == 2

    trio.run(main)


def test_what_is_not_worth_it_is_not_asked_for_again() -> None:
    packs = entries(40)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs)) as fixture:
            fixture.worth_it = False
            fixture.foresight.read(PLENTY)
            await fixture.open(packs[:8], state(1))
            assert len(fixture.keys) == len(set(fixture.keys))

    trio.run(main)


# --- several states ------------------------------------------------------------------------------------------


def test_another_state_ends_what_was_foretold_of_the_one_before() -> None:
    packs = {info.id: entries(40, number) for number, info in enumerate((state(1), state(2)), 1)}

    async def main() -> None:
        async with foreseeing(lambda info: Order(packs[info.id])) as fixture:
            fixture.foresight.read(PLENTY)
            for info in (state(1), state(2), state(1)):
                await fixture.open(packs[info.id][:4], info)
                assert fixture.keys[-FEW:] == [entry.key for entry in packs[info.id][4 : 4 + FEW]]
            assert fixture.taken_back == fixture.expected[: 2 * FEW]
            assert [order.closed for order in fixture.orders if isinstance(order, Order)] == [True, True, False]

    trio.run(main)


def test_orders_that_come_too_late_are_closed() -> None:
    """Two states in turn, before any order was found: the last one that is begun counts."""
    go = threading.Event()

    def make(_: StateInfo) -> UploadOrder:
        go.wait(10)
        return Order(entries(40))

    async def main() -> None:
        async with foreseeing(make) as fixture:
            fixture.foresight.read(PLENTY)
            for info in (state(1), state(2), state(1)):
                await fixture.open(entries(4), info)
            go.set()
            while len(fixture.orders) < 3 or not fixture.expected:
                await settled()
            closed = [order.closed for order in fixture.orders if isinstance(order, Order)]
            assert sorted(closed) == [False, True, True]
            assert len(fixture.keys) == FEW

    trio.run(main)


# --- failures ------------------------------------------------------------------------------------------------


def test_a_state_whose_order_cannot_be_known_is_asked_about_once(caplog: pytest.LogCaptureFixture) -> None:
    def make(_: StateInfo) -> UploadOrder:
        raise StateNotFound("state 1 is not in the index any more")

    async def main() -> None:
        async with foreseeing(make) as fixture:
            await fixture.open(entries(20), state(1))
            assert fixture.look_ups == 1
            await fixture.open(entries(20), state(2))
            assert fixture.look_ups == 2

    trio.run(main)
    assert caplog.text.count("no packs are fetched ahead: state 1 is not in the index any more") == 2


def test_an_order_that_fails_later_is_let_go_of(caplog: pytest.LogCaptureFixture) -> None:
    packs = entries(40)

    async def main() -> None:
        async with foreseeing(lambda _: Order(packs, answers=6)) as fixture:
            fixture.foresight.read(PLENTY)
            await fixture.open(packs[:30], state(1))
            assert fixture.look_ups == 1
            assert [order.closed for order in fixture.orders if isinstance(order, Order)] == [True]
            opened = {entry.key for entry in packs[:6]}
            assert [identity.key for identity in fixture.taken_back] == [
                key for key in fixture.keys if key not in opened
            ]

    trio.run(main)
    assert caplog.text.count("no packs are fetched ahead") == 1


def test_an_order_that_fails_for_a_state_that_nobody_reads_any_more_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = threading.Event()

    def make(info: StateInfo) -> UploadOrder:
        if info == state(2):
            return Order(entries(40))
        go.wait(10)
        raise StateNotFound("gone")

    async def main() -> None:
        async with foreseeing(make) as fixture:
            fixture.foresight.read(PLENTY)
            await fixture.open(entries(3), state(1))
            await fixture.open(entries(4), state(2))
            go.set()
            await settled()
            assert len(fixture.keys) == FEW

    trio.run(main)
    assert not caplog.records


@pytest.mark.parametrize(
    ("key", "pack"),
    [
        ("data/aa/" + "0" * 64, True),
        ("host1/data/aa/" + "0" * 64, True),
        ("index/" + "0" * 64, False),
        ("data/aa/" + "0" * 63, False),
        ("config", False),
    ],
)
def test_what_a_pack_is(key: str, pack: bool) -> None:
    assert is_pack(key) is pack
