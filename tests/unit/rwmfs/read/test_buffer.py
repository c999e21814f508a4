"""The memory of a mount: bounded, least recently used first, and what is in use stays."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rwmfs.cache.block_file import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.read.buffer import PAST, READ, Buffer
from rwmfs.read.counters import Counters
from rwmfs.read.pieces import BufferedObject, Piece

OBJECT = ObjectId("key", "v1", 100 * BLOCK, "etag")
SMALL = OBJECT._replace(size=2 * BLOCK)
SHORT = OBJECT._replace(size=12 * BLOCK)


def arrived(buffer: Buffer, number: int, identity: ObjectId = OBJECT) -> Piece:
    """A piece of one grain that is here."""
    piece = buffer.add(buffer.hold_lock(identity), number * BLOCK, (number + 1) * BLOCK)
    piece.data = memoryview(bytes(BLOCK))
    piece.done.set()
    buffer.release(piece)
    return piece


def test_the_least_recently_used_leaves_first() -> None:
    buffer = Buffer(2 * BLOCK, Counters())
    first, second, third = (arrived(buffer, number) for number in range(3))
    with buffer.using([first]):
        pass
    assert first in buffer and third in buffer
    assert second not in buffer
    assert buffer.size == 2 * BLOCK


def test_what_was_read_leaves_before_what_was_not() -> None:
    counters = Counters()
    buffer = Buffer(2 * BLOCK, counters)
    unread, read = arrived(buffer, 0), arrived(buffer, 1)
    with buffer.using([read]):
        read.used = BLOCK
    arrived(buffer, 2)
    buffer.shrink()
    assert unread in buffer and read not in buffer
    assert counters.wasted == 0


def test_what_is_on_its_way_or_in_use_stays_and_leaves_no_room() -> None:
    buffer = Buffer(2 * BLOCK, Counters())
    on_its_way = buffer.add(buffer.hold_lock(OBJECT), 0, BLOCK)
    assert buffer.has_room(BLOCK)
    assert not buffer.has_room(BLOCK + 1)
    used, other = arrived(buffer, 1), arrived(buffer, 2)
    with buffer.using([used]), buffer.using([used]):
        buffer.shrink()
        assert on_its_way in buffer and used in buffer and other not in buffer
        assert not buffer.has_room(1)
    assert buffer.has_room(BLOCK)


def test_more_than_the_limit_stays_no_longer_than_it_is_used() -> None:
    buffer = Buffer(0, Counters())
    piece = buffer.add(buffer.hold_lock(OBJECT), 0, BLOCK)
    with buffer.using([piece]):
        piece.data = memoryview(bytes(BLOCK))
        piece.done.set()
        buffer.release(piece)
        buffer.shrink()
        assert buffer.size == BLOCK
    assert buffer.size == 0
    assert len(buffer) == 0


def test_what_is_dropped_while_it_is_used_is_gone_once() -> None:
    buffer = Buffer(10 * BLOCK, Counters())
    piece = arrived(buffer, 0)
    with buffer.using([piece]):
        buffer.drop(piece)
        buffer.drop(piece)
        assert piece not in buffer
    assert buffer.size == 0
    assert buffer.has_room(buffer.limit)
    assert not buffer.has_room(buffer.limit + 1)


def test_an_object_stays_as_long_as_somebody_has_it_open_or_something_of_it_is_here() -> None:
    buffer = Buffer(BLOCK, Counters())
    held = buffer.hold_lock(OBJECT)
    buffer.opened(held)
    piece = arrived(buffer, 0)
    buffer.drop(piece)
    assert list(buffer) == [held]
    held.readers = 0
    buffer.settle(held)
    assert len(buffer) == 0
    again = buffer.hold_lock(OBJECT)
    buffer.settle(held)
    assert list(buffer) == [again], "the one that was settled before is another one"


def test_what_left_without_having_been_read_is_counted() -> None:
    counters = Counters()
    buffer = Buffer(10 * BLOCK, counters)
    unread, partly, on_disk, on_its_way = (arrived(buffer, number) for number in range(4))
    partly.used, on_disk.on_disk, on_its_way.data = 100, True, None
    assert buffer.unread() == 2 * BLOCK - 100
    for piece in (unread, partly, on_disk, on_its_way):
        buffer.drop(piece)
    assert counters.wasted == 2 * BLOCK - 100
    assert buffer.unread() == 0


def test_what_readers_will_come_to_leaves_no_room_for_what_is_ahead_of_others() -> None:
    buffer = Buffer(4 * BLOCK, Counters())
    held = buffer.hold_lock(OBJECT)
    buffer.opened(held)
    ahead = buffer.add(held, 0, BLOCK)
    ahead.ahead = True
    ahead.done.set()
    buffer.release(ahead)
    arrived(buffer, 1)
    assert buffer.has_room(3 * BLOCK)
    assert not buffer.has_room(3 * BLOCK + 1)
    with buffer.using([ahead]):
        ahead.used = 100
    assert not buffer.has_room(3 * BLOCK + 1), "the rest of it is still to come"
    with buffer.using([ahead]):
        ahead.used = BLOCK
    assert buffer.has_room(4 * BLOCK)


def test_what_was_ahead_of_readers_that_are_gone_makes_room() -> None:
    buffer = Buffer(4 * BLOCK, Counters())
    held = buffer.hold_lock(OBJECT)
    buffer.opened(held)
    ahead, dropped = buffer.add(held, 0, BLOCK), buffer.add(held, BLOCK, 2 * BLOCK)
    for piece in (ahead, dropped):
        piece.ahead = True
        piece.done.set()
        buffer.release(piece)
    assert not buffer.has_room(3 * BLOCK)
    buffer.drop(dropped)
    assert buffer.has_room(3 * BLOCK)
    assert not buffer.has_room(4 * BLOCK)
    buffer.closed(held)
    assert buffer.has_room(4 * BLOCK)
    assert not buffer.has_room(4 * BLOCK + 1)
    assert ahead in buffer


def read_and_closed(buffer: Buffer, number: int, used: int) -> Piece:
    """The first half of an object, of which so many bytes were read; of the second half all were."""
    held = buffer.hold_lock(SMALL._replace(key=f"key {number}"))
    buffer.opened(held)
    first, second = (arrived(buffer, half, held.id) for half in range(2))
    with buffer.using([first, second]):
        first.used, second.used = used, BLOCK
    buffer.closed(held)
    return first


def test_what_was_read_and_is_closed_takes_a_part_of_the_room_only() -> None:
    buffer = Buffer(4 * PAST * BLOCK, Counters())
    enough = int(2 * BLOCK * READ) - BLOCK + 1
    partly, *pieces = (read_and_closed(buffer, number, used) for number, used in enumerate([100, *[enough] * 4]))
    assert [piece in buffer for piece in pieces] == [False, False, True, True]
    assert partly in buffer, "another part of it may be read yet"
    assert buffer.size == 6 * BLOCK


def test_what_is_opened_again_is_not_past() -> None:
    buffer = Buffer(2 * PAST * BLOCK, Counters())
    first = read_and_closed(buffer, 0, BLOCK)
    buffer.opened(first.held)
    second = read_and_closed(buffer, 1, BLOCK)
    assert first in buffer and second in buffer
    buffer.opened(first.held)
    buffer.closed(first.held)
    assert first in buffer and second in buffer, "somebody has it open still"
    buffer.closed(first.held)
    assert first in buffer and second not in buffer


def test_what_is_past_leaves_first() -> None:
    buffer = Buffer(2 * PAST * BLOCK, Counters())
    buffer.opened(buffer.hold_lock(OBJECT))
    read = arrived(buffer, 0)
    with buffer.using([read]):
        read.used = BLOCK
    past = read_and_closed(buffer, 0, BLOCK)
    assert past in buffer, "there is as much room as it may take"
    for number in range(1, 2 * PAST - 1):
        arrived(buffer, number)
    buffer.shrink()
    assert buffer.size == buffer.limit
    assert read in buffer and past not in buffer, "though it was used last"


class BufferMachine(RuleBasedStateMachine):
    """Whatever happens in which order, sizes are sums, and room is what is neither on its way nor used."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = Buffer(8 * BLOCK, Counters())
        self.pieces: list[Piece] = []
        self.used: list[list[Piece]] = []
        self.uses: list[object] = []
        self.opened: list[BufferedObject] = []

    @rule(key=st.sampled_from("ab"), number=st.integers(0, 9), count=st.integers(1, 3), ahead=st.booleans())
    def add(self, key: str, number: int, count: int, ahead: bool) -> None:
        held = self.buffer.hold_lock(SHORT._replace(key=key))
        for start, stop in held.missing(number * BLOCK, (number + count) * BLOCK):
            self.pieces.append(self.buffer.add(held, start, stop))
            self.pieces[-1].ahead = ahead
        self.buffer.settle(held)

    @rule(key=st.sampled_from("ab"))
    def open(self, key: str) -> None:
        held = self.buffer.hold_lock(SHORT._replace(key=key))
        self.buffer.opened(held)
        self.opened.append(held)

    @rule()
    @precondition(lambda self: self.opened)
    def close(self) -> None:
        held = self.opened.pop()
        self.buffer.closed(held)
        self.buffer.settle(held)

    @rule(chance=st.randoms(use_true_random=False))
    @precondition(lambda self: self.pieces)
    def arrive(self, chance: random.Random) -> None:
        piece = chance.choice(self.pieces)
        piece.data = memoryview(bytes(len(piece)))
        piece.done.set()
        self.buffer.release(piece)
        self.buffer.shrink()

    @rule(chance=st.randoms(use_true_random=False))
    @precondition(lambda self: self.pieces)
    def use(self, chance: random.Random) -> None:
        pieces = chance.sample(self.pieces, min(len(self.pieces), 3))
        use = self.buffer.using(pieces)
        use.__enter__()
        self.used.append(pieces)
        self.uses.append(use)

    @rule(part=st.integers(0, 10))
    @precondition(lambda self: self.uses)
    def end_use(self, part: int) -> None:
        for piece in self.used.pop():
            piece.used += len(piece) * part // 10
        self.uses.pop().__exit__(None, None, None)  # type: ignore[attr-defined]
        assert self.buffer.size <= self.buffer.limit or not self._idle()

    @rule(chance=st.randoms(use_true_random=False))
    @precondition(lambda self: self.pieces)
    def drop(self, chance: random.Random) -> None:
        self.buffer.drop(chance.choice(self.pieces))

    def _idle(self) -> list[Piece]:
        return [piece for piece in self._here() if piece.done.is_set() and not piece.waiting]

    def _here(self) -> set[Piece]:
        return {piece for held in self.buffer for piece in held.pieces.values()}

    @invariant()
    def adds_up(self) -> None:
        here = self._here()
        assert self.buffer.size == sum(map(len, here))
        assert all((piece in self.buffer) == (piece in here) for piece in self.pieces)
        for piece in self.pieces:
            assert piece.waiting == sum(piece in pieces for pieces in self.used)
        idle = self._idle()
        coming = [piece for piece in idle if piece.ahead and piece.used < len(piece) and piece.held.readers]
        room = self.buffer.limit - sum(map(len, here)) + sum(map(len, idle)) - sum(map(len, coming))
        assert self.buffer.has_room(room)
        assert not self.buffer.has_room(room + 1)
        assert all(held.pieces or held.readers for held in self.buffer)

    @invariant()
    def little_is_past(self) -> None:
        for held in self.buffer:
            idle = [piece for piece in self._idle() if piece.held is held]
            if not held.readers and held.read() >= held.id.size * READ and not self.used:
                assert sum(map(len, idle)) <= self.buffer.limit // PAST


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
