"""Fetching a piece: retries, backoff, timeouts and cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice, pairwise

import pytest
import trio
import trio.testing

from rwm.errors import AccessDenied, BadResponse, Cancelled, NotFound, RwmError, Unreachable
from rwmfs.cache import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import MAX_BAD_RESPONSES, Fetcher, _backoff
from rwmfs.read.pieces import BufferedObject, Piece
from tests.unit.fakes import FakeBucket, version_of
from tests.unit.reading import DATA, content

KEY = str(4 * BLOCK)


def piece_of(number: int = 0, count: int = 1) -> Piece:
    buffered = BufferedObject(ObjectId(KEY, version_of(KEY), 4 * BLOCK, "etag"))
    return buffered.add(number * BLOCK, (number + count) * BLOCK)


def failing(*errors: RwmError) -> FakeBucket:
    """A bucket that raises these errors in turn, then answers."""
    bucket, left = FakeBucket(content), list(errors)

    def fault(*_: object) -> None:
        if left:
            raise left.pop(0)

    bucket.fault = fault
    return bucket


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwmfs.read.fetcher._backoff", lambda: iter([0.0] * 10**6))


def fetched(bucket: FakeBucket, timeout: float = 60) -> Counters:
    """Fetch a piece; raises what the fetcher raises."""
    counters, piece = Counters(), piece_of(1, 2)

    async def main() -> None:
        await Fetcher(bucket, counters, timeout=timeout).fetch(piece)
        assert piece.data is not None and bytes(piece.data) == DATA[BLOCK : 3 * BLOCK]

    trio.run(main)
    return counters


def test_a_piece_is_fetched_by_one_request() -> None:
    counters = fetched(bucket := FakeBucket(content))
    assert bucket.requests == [(KEY, BLOCK, 3 * BLOCK)]
    assert (counters.requests, counters.fetched, counters.retried) == (1, 2 * BLOCK, 0)


def test_an_unreachable_server_is_retried_any_number_of_times() -> None:
    counters = fetched(failing(*[Unreachable("no route")] * 50))
    assert (counters.requests, counters.retried, counters.fetched) == (51, 50, 2 * BLOCK)


def test_bad_responses_are_retried_a_few_times() -> None:
    assert fetched(failing(*[BadResponse("nonsense")] * (MAX_BAD_RESPONSES - 1))).retried == MAX_BAD_RESPONSES - 1
    with pytest.raises(BadResponse, match="nonsense"):
        fetched(bucket := failing(*[BadResponse("nonsense")] * MAX_BAD_RESPONSES))
    assert len(bucket.requests) == MAX_BAD_RESPONSES


@pytest.mark.parametrize("error", [AccessDenied("no"), NotFound("gone"), Cancelled("cancelled")])
def test_permanent_errors_are_not_retried(error: RwmError) -> None:
    with pytest.raises(type(error)):
        fetched(bucket := failing(error))
    assert len(bucket.requests) == 1


def test_retries_end_at_the_timeout() -> None:
    with pytest.raises(Unreachable, match="no usable answer within"):
        fetched(failing(*[Unreachable("no route")] * 10**6), timeout=0.2)


def test_a_request_that_times_out_is_cancelled() -> None:
    started, stopped = threading.Event(), threading.Event()
    clock = trio.testing.MockClock()

    def slow(key: str, version_id: str, start: int, stop: int, wanted: Callable[[], bool], etag: str) -> bytes:
        started.set()
        while wanted():
            stopped.wait(0.01)
        stopped.set()
        raise Cancelled("cancelled")

    bucket = FakeBucket(content)
    bucket.read_range = slow  # type: ignore[method-assign, assignment]

    async def late() -> None:
        while not started.is_set():
            await trio.sleep(0)
        clock.jump(301)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(late)
            with pytest.raises(Unreachable, match="no usable answer within 300 s"):
                await Fetcher(bucket, Counters(), timeout=300).fetch(piece_of())

    trio.run(main, clock=clock)
    assert stopped.wait(300)


def test_a_cancelled_piece_is_neither_requested_nor_retried() -> None:
    async def main() -> None:
        piece, bucket = piece_of(), FakeBucket(content)
        piece.cancelled = True
        with pytest.raises(Cancelled):
            await Fetcher(bucket, Counters()).fetch(piece)
        assert bucket.requests == []
        piece = piece_of()

        def fault(*_: object) -> None:
            piece.cancelled = True
            raise Unreachable("no route")

        bucket.fault = fault
        with pytest.raises(Unreachable):
            await Fetcher(bucket, Counters()).fetch(piece)
        assert len(bucket.requests) == 1

    trio.run(main)


def test_waiting_for_a_connection_does_not_time_out_while_others_get_responses() -> None:
    """One connection, ten pieces; each response takes more than half of the timeout."""
    go = threading.Semaphore(0)
    bucket = FakeBucket(content)
    bucket.fault = lambda *_: go.acquire(timeout=300)
    clock = trio.testing.MockClock()

    async def main() -> None:
        fetcher = Fetcher(bucket, Counters(), connections=1, timeout=300)
        pieces = [piece_of(number % 4) for number in range(10)]
        async with trio.open_nursery() as nursery:
            for piece in pieces:
                nursery.start_soon(fetcher.fetch, piece)
            for count in range(1, 11):
                while len(bucket.requests) < count:
                    await trio.sleep(0)
                clock.jump(200)
                go.release()
                while sum(piece.data is not None for piece in pieces) < count:
                    await trio.sleep(0)

    trio.run(main, clock=clock)


def test_waiting_for_a_connection_times_out_without_responses() -> None:
    go = threading.Event()
    bucket = FakeBucket(content)
    bucket.fault = lambda *_: go.wait(300)
    clock = trio.testing.MockClock()

    async def main() -> None:
        fetcher = Fetcher(bucket, Counters(), connections=1, timeout=300)
        errors = []

        async def one() -> None:
            with pytest.raises(Unreachable) as caught:
                await fetcher.fetch(piece_of())
            errors.append(caught.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            nursery.start_soon(one)
            while not bucket.requests:
                await trio.sleep(0)
            clock.jump(301)
        assert len(errors) == 2
        go.set()

    trio.run(main, clock=clock)
    assert len(bucket.requests) == 1


def test_backoff_grows_with_jitter() -> None:
    pauses = list(islice(_backoff(), 12))
    assert len(set(pauses)) == 12
    assert 0.1 <= pauses[0] <= 0.2
    assert all(5 <= pause <= 10 for pause in pauses[6:])
    assert all(later >= earlier / 2 for earlier, later in pairwise(pauses))
