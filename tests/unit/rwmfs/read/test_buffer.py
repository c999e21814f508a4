"""The buffer: bounded, evicts in order, never evicts pinned pieces."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rwmfs.cache import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.read.buffer import FINISHED_FRACTION, FINISHED_SHARE, Buffer
from rwmfs.read.counters import Counters
from rwmfs.read.pieces import BufferedObject, Piece

OBJECT = ObjectId("key", "v1", 100 * BLOCK, "etag")
SMALL = OBJECT._replace(size=2 * BLOCK)
SHORT = OBJECT._replace(size=12 * BLOCK)


def fetched(buffer: Buffer, number: int, object_id: ObjectId = OBJECT) -> Piece:
    """A piece of one block with data, not pinned."""
    piece = buffer.add(buffer.get_or_add(object_id), number * BLOCK, (number + 1) * BLOCK)
    piece.data = memoryview(bytes(BLOCK))
    piece.done.set()
    buffer.unpin(piece)
    return piece


def test_the_least_recently_used_piece_is_evicted_first() -> None:
    buffer = Buffer(2 * BLOCK, Counters())
    first, second, third = (fetched(buffer, number) for number in range(3))
    with buffer.pinned([first]):
        pass
    assert first in buffer and third in buffer
    assert second not in buffer
    assert buffer.size == 2 * BLOCK


def test_read_pieces_are_evicted_before_unread_ones() -> None:
    counters = Counters()
    buffer = Buffer(2 * BLOCK, counters)
    unread, read = fetched(buffer, 0), fetched(buffer, 1)
    with buffer.pinned([read]):
        read.bytes_read = BLOCK
    fetched(buffer, 2)
    buffer.evict()
    assert unread in buffer and read not in buffer
    assert counters.wasted == 0


def test_pieces_in_flight_or_pinned_are_not_evicted() -> None:
    buffer = Buffer(2 * BLOCK, Counters())
    in_flight = buffer.add(buffer.get_or_add(OBJECT), 0, BLOCK)
    assert buffer.has_room(BLOCK)
    assert not buffer.has_room(BLOCK + 1)
    used, other = fetched(buffer, 1), fetched(buffer, 2)
    with buffer.pinned([used]), buffer.pinned([used]):
        buffer.evict()
        assert in_flight in buffer and used in buffer and other not in buffer
        assert not buffer.has_room(1)
    assert buffer.has_room(BLOCK)


def test_pieces_above_the_limit_are_evicted_when_unpinned() -> None:
    buffer = Buffer(0, Counters())
    piece = buffer.add(buffer.get_or_add(OBJECT), 0, BLOCK)
    with buffer.pinned([piece]):
        piece.data = memoryview(bytes(BLOCK))
        piece.done.set()
        buffer.unpin(piece)
        buffer.evict()
        assert buffer.size == BLOCK
    assert buffer.size == 0
    assert len(buffer) == 0


def test_a_pinned_piece_can_be_dropped() -> None:
    buffer = Buffer(10 * BLOCK, Counters())
    piece = fetched(buffer, 0)
    with buffer.pinned([piece]):
        buffer.drop(piece)
        buffer.drop(piece)
        assert piece not in buffer
    assert buffer.size == 0
    assert buffer.has_room(buffer.limit)
    assert not buffer.has_room(buffer.limit + 1)


def test_an_object_is_discarded_when_closed_and_without_pieces() -> None:
    buffer = Buffer(BLOCK, Counters())
    buffered = buffer.get_or_add(OBJECT)
    buffer.record_open(buffered)
    piece = fetched(buffer, 0)
    buffer.drop(piece)
    assert list(buffer) == [buffered]
    buffered.handles = 0
    buffer.discard_if_unused(buffered)
    assert len(buffer) == 0
    again = buffer.get_or_add(OBJECT)
    buffer.discard_if_unused(buffered)
    assert list(buffer) == [again], "another one than before"


def test_unread_bytes_count_as_wasted() -> None:
    counters = Counters()
    buffer = Buffer(10 * BLOCK, counters)
    unread, partly, from_disk, in_flight = (fetched(buffer, number) for number in range(4))
    partly.bytes_read, from_disk.from_disk, in_flight.data = 100, True, None
    assert buffer.unread_size() == 2 * BLOCK - 100
    for piece in (unread, partly, from_disk, in_flight):
        buffer.drop(piece)
    assert counters.wasted == 2 * BLOCK - 100
    assert buffer.unread_size() == 0


def test_read_ahead_of_open_objects_is_reserved() -> None:
    buffer = Buffer(4 * BLOCK, Counters())
    buffered = buffer.get_or_add(OBJECT)
    buffer.record_open(buffered)
    ahead = buffer.add(buffered, 0, BLOCK)
    ahead.is_read_ahead = True
    ahead.done.set()
    buffer.unpin(ahead)
    fetched(buffer, 1)
    assert buffer.has_room(3 * BLOCK)
    assert not buffer.has_room(3 * BLOCK + 1)
    with buffer.pinned([ahead]):
        ahead.bytes_read = 100
    assert not buffer.has_room(3 * BLOCK + 1), "the rest of it is still reserved"
    with buffer.pinned([ahead]):
        ahead.bytes_read = BLOCK
    assert buffer.has_room(4 * BLOCK)


def test_read_ahead_of_closed_objects_is_not_reserved() -> None:
    buffer = Buffer(4 * BLOCK, Counters())
    buffered = buffer.get_or_add(OBJECT)
    buffer.record_open(buffered)
    ahead, dropped = buffer.add(buffered, 0, BLOCK), buffer.add(buffered, BLOCK, 2 * BLOCK)
    for piece in (ahead, dropped):
        piece.is_read_ahead = True
        piece.done.set()
        buffer.unpin(piece)
    assert not buffer.has_room(3 * BLOCK)
    buffer.drop(dropped)
    assert buffer.has_room(3 * BLOCK)
    assert not buffer.has_room(4 * BLOCK)
    buffer.record_close(buffered)
    assert buffer.has_room(4 * BLOCK)
    assert not buffer.has_room(4 * BLOCK + 1)
    assert ahead in buffer


def read_and_closed(buffer: Buffer, number: int, used: int) -> Piece:
    """The first half of an object, of which so many bytes were read; of the second half all were."""
    buffered = buffer.get_or_add(SMALL._replace(key=f"key {number}"))
    buffer.record_open(buffered)
    first, second = (fetched(buffer, half, buffered.id) for half in range(2))
    with buffer.pinned([first, second]):
        first.bytes_read, second.bytes_read = used, BLOCK
    buffer.record_close(buffered)
    return first


def test_finished_objects_take_a_part_of_the_limit() -> None:
    buffer = Buffer(4 * FINISHED_SHARE * BLOCK, Counters())
    enough = int(2 * BLOCK * FINISHED_FRACTION) - BLOCK + 1
    partly, *pieces = (read_and_closed(buffer, number, used) for number, used in enumerate([100, *[enough] * 4]))
    assert [piece in buffer for piece in pieces] == [False, False, True, True]
    assert partly in buffer, "not finished"
    assert buffer.size == 6 * BLOCK


def test_a_reopened_object_is_not_finished() -> None:
    buffer = Buffer(2 * FINISHED_SHARE * BLOCK, Counters())
    first = read_and_closed(buffer, 0, BLOCK)
    buffer.record_open(first.object)
    second = read_and_closed(buffer, 1, BLOCK)
    assert first in buffer and second in buffer
    buffer.record_open(first.object)
    buffer.record_close(first.object)
    assert first in buffer and second in buffer, "still open"
    buffer.record_close(first.object)
    assert first in buffer and second not in buffer


def test_finished_objects_are_evicted_first() -> None:
    buffer = Buffer(2 * FINISHED_SHARE * BLOCK, Counters())
    buffer.record_open(buffer.get_or_add(OBJECT))
    read = fetched(buffer, 0)
    with buffer.pinned([read]):
        read.bytes_read = BLOCK
    finished = read_and_closed(buffer, 0, BLOCK)
    assert finished in buffer, "it takes the share of finished objects"
    for number in range(1, 2 * FINISHED_SHARE - 1):
        fetched(buffer, number)
    buffer.evict()
    assert buffer.size == buffer.limit
    assert read in buffer and finished not in buffer, "though it was used last"


class BufferMachine(RuleBasedStateMachine):
    """In any order of calls the sizes add up, and there is room for all but pieces in flight or pinned."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = Buffer(8 * BLOCK, Counters())
        self.pieces: list[Piece] = []
        self.pinned_pieces: list[list[Piece]] = []
        self.pins: list[object] = []
        self.opened: list[BufferedObject] = []

    @rule(key=st.sampled_from("ab"), number=st.integers(0, 9), count=st.integers(1, 3), ahead=st.booleans())
    def add(self, key: str, number: int, count: int, ahead: bool) -> None:
        buffered = self.buffer.get_or_add(SHORT._replace(key=key))
        for start, stop in buffered.missing(number * BLOCK, (number + count) * BLOCK):
            self.pieces.append(self.buffer.add(buffered, start, stop))
            self.pieces[-1].is_read_ahead = ahead
        self.buffer.discard_if_unused(buffered)

    @rule(key=st.sampled_from("ab"))
    def open(self, key: str) -> None:
        buffered = self.buffer.get_or_add(SHORT._replace(key=key))
        self.buffer.record_open(buffered)
        self.opened.append(buffered)

    @rule()
    @precondition(lambda self: self.opened)
    def close(self) -> None:
        buffered = self.opened.pop()
        self.buffer.record_close(buffered)
        self.buffer.discard_if_unused(buffered)

    @rule(chance=st.randoms(use_true_random=False))
    @precondition(lambda self: self.pieces)
    def finish_fetch(self, chance: random.Random) -> None:
        piece = chance.choice(self.pieces)
        piece.data = memoryview(bytes(len(piece)))
        piece.done.set()
        self.buffer.unpin(piece)
        self.buffer.evict()

    @rule(chance=st.randoms(use_true_random=False))
    @precondition(lambda self: self.pieces)
    def pin(self, chance: random.Random) -> None:
        pieces = chance.sample(self.pieces, min(len(self.pieces), 3))
        pin = self.buffer.pinned(pieces)
        pin.__enter__()
        self.pinned_pieces.append(pieces)
        self.pins.append(pin)

    @rule(part=st.integers(0, 10))
    @precondition(lambda self: self.pins)
    def unpin(self, part: int) -> None:
        for piece in self.pinned_pieces.pop():
            piece.bytes_read += len(piece) * part // 10
        self.pins.pop().__exit__(None, None, None)  # type: ignore[attr-defined]
        assert self.buffer.size <= self.buffer.limit or not self._idle()

    @rule(chance=st.randoms(use_true_random=False))
    @precondition(lambda self: self.pieces)
    def drop(self, chance: random.Random) -> None:
        self.buffer.drop(chance.choice(self.pieces))

    def _idle(self) -> list[Piece]:
        return [piece for piece in self._pieces() if piece.done.is_set() and not piece.pins]

    def _pieces(self) -> set[Piece]:
        return {piece for buffered in self.buffer for piece in buffered.pieces.values()}

    @invariant()
    def adds_up(self) -> None:
        present = self._pieces()
        assert self.buffer.size == sum(map(len, present))
        assert all((piece in self.buffer) == (piece in present) for piece in self.pieces)
        for piece in self.pieces:
            assert piece.pins == sum(piece in pieces for pieces in self.pinned_pieces)
        idle = self._idle()
        reserved = [
            piece for piece in idle if piece.is_read_ahead and piece.bytes_read < len(piece) and piece.object.handles
        ]
        room = self.buffer.limit - sum(map(len, present)) + sum(map(len, idle)) - sum(map(len, reserved))
        assert self.buffer.has_room(room)
        assert not self.buffer.has_room(room + 1)
        assert all(buffered.pieces or buffered.handles for buffered in self.buffer)

    @invariant()
    def few_bytes_are_finished(self) -> None:
        for buffered in self.buffer:
            idle = [piece for piece in self._idle() if piece.object is buffered]
            if (
                not buffered.handles
                and buffered.bytes_read() >= buffered.id.size * FINISHED_FRACTION
                and not self.pinned_pieces
            ):
                assert sum(map(len, idle)) <= self.buffer.limit // FINISHED_SHARE


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
