"""Errors and timeouts of S3, cancelled reads, shutdown: which reads fail, what is retried, what is logged."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable

import pytest
import trio

from rwm.errors import AccessDenied, Cancelled, NotFound, S3Error, Unreachable
from rwm.model import Entry
from rwmfs.cache import BLOCK
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.reader import FAIL_FAST_SECONDS
from rwmfs.read.verification import WrongContent
from tests.unit.fakes import FakeBucket, version_of
from tests.unit.memory import of_object
from tests.unit.reading import (
    DATA,
    MIB,
    Opener,
    content,
    fetches_ended,
    first_bit_flipped,
    pack,
    reading,
    run,
    run_bounded,
    settled,
)


def test_a_permanent_error_fails_the_waiting_reads_and_is_not_cached(caplog: pytest.LogCaptureFixture) -> None:
    async def main(bucket: FakeBucket) -> None:
        failures: list[S3Error] = []

        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) == 1:
                raise of_object(AccessDenied, key, "no")

        bucket.fault = fault
        async with reading(bucket) as reader:

            async def one() -> None:
                with pytest.raises(S3Error) as caught:
                    await reader.read(reader.of("5000"), 0, 100)
                failures.append(caught.value)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)
                nursery.start_soon(one)
            assert len({id(error) for error in failures}) == 2
            assert bytes(await reader.read(reader.of("5000"), 0, 100)) == DATA[:100]

    bucket = run(main)
    assert len(bucket.requests) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot read 5000 (version {version_of('5000')}): no"
    ]


def test_an_unreachable_server_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) < 4:
                raise Unreachable("no route")

        bucket.fault = fault
        async with reading(bucket) as reader:
            assert bytes(await reader.read(reader.of("5000"), 0, 100)) == DATA[:100]
            assert reader.counters.retried == 3

    run(main)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.usefixtures("virtual_time")
def test_a_repeated_read_fails_at_once_after_a_slow_failure() -> None:
    """The kernel repeats a failed read for its first page."""

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            raise Unreachable("no route")

        bucket.fault = fault
        async with reading(bucket, timeout=FAIL_FAST_SECONDS + 0.1) as reader:
            file = reader.of("9000")
            with pytest.raises(S3Error, match="no usable answer within 1 s"):
                await reader.read(file, 4096, 4904)
            before = len(bucket.requests)
            with pytest.raises(S3Error, match="no usable answer within 1 s; the last one: no route"):
                await reader.read(file, 4096, 4096)
            assert len(bucket.requests) == before
            bucket.fault = lambda *_: None
            assert await reader.read(file, 0, 4096) == DATA[:4096], "other bytes"
            assert await reader.read(reader.of("9000"), 4096, 4096) == DATA[4096:8192], "another reader"
            await trio.sleep(FAIL_FAST_SECONDS)
            assert await reader.read(file, 4096, 4096) == DATA[4096:8192], "a moment later"

    run(main)


def test_a_failed_read_ahead_fails_no_read(caplog: pytest.LogCaptureFixture) -> None:
    key = str(40 * MIB)

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            if start >= 4 * MIB and len(bucket.requests) < 4:
                raise AccessDenied("no")

        bucket.fault = fault
        async with reading(bucket) as reader:
            file = reader.of(key)
            for offset in range(0, 20 * MIB, MIB):
                assert bytes(await reader.read(file, offset, MIB)) == DATA[offset : offset + MIB]
                await settled()

    run(main)
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize("answer", [b"", b"x" * 4999, b"x" * 5001])
def test_an_answer_of_the_wrong_length_is_an_error(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwmfs.read.fetcher._backoff", lambda: itertools.repeat(0.0))

    async def main() -> None:
        bucket = FakeBucket(lambda key: answer)
        async with reading(bucket) as reader:
            bucket.read_range = lambda *_: answer  # type: ignore[method-assign]
            with pytest.raises(S3Error, match="instead of 5000"):
                await reader.read(reader.of("5000"), 0, 1)

    trio.run(main)


def test_a_missing_version_fails_the_read() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            with pytest.raises(S3Error) as caught:
                await reader.read(reader.open(Entry("5000", "gone", 5000, "e", 0)), 0, 1)
            assert isinstance(caught.value.__cause__, NotFound)

    run(main)


def test_an_unexpected_exception_fails_the_read_and_not_the_mount() -> None:
    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            raise KeyError("oops")

        bucket.fault = fault
        async with reading(bucket) as reader:
            with pytest.raises(S3Error, match="unexpected KeyError"):
                await reader.read(reader.of("5000"), 0, 1)

    run(main)


def test_a_hung_request_times_out() -> None:
    go, clock = threading.Event(), trio.testing.MockClock()

    async def main(bucket: FakeBucket) -> None:
        async def jump() -> None:
            while not bucket.requests:
                await trio.sleep(0)
            clock.jump(60)

        bucket.fault = lambda *_: go.wait(300)
        async with reading(bucket, timeout=60) as reader, trio.open_nursery() as nursery:
            nursery.start_soon(jump)
            with pytest.raises(S3Error, match="no usable answer within 60 s"):
                await reader.read(reader.of("5000"), 0, 1)
            go.set()
            assert bytes(await reader.read(reader.of("5001"), 0, 9)) == DATA[:9]

    run(main, clock)


@pytest.mark.usefixtures("virtual_time")
def test_a_timeout_names_the_last_error(caplog: pytest.LogCaptureFixture) -> None:
    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            raise Unreachable("SlowDown")

        bucket.fault = fault
        async with reading(bucket, timeout=0.3) as reader:
            with pytest.raises(S3Error, match="no usable answer within 0 s; the last one: SlowDown"):
                await reader.read(reader.of("5000"), 0, 100)

    run(main)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        f"cannot read 5000 (version {version_of('5000')}): no usable answer within 0 s; the last one: SlowDown"
    ]


def test_a_cancelled_read_keeps_its_fetch_for_other_reads() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(300)
        got: list[bytes] = []
        async with reading(bucket) as reader:

            async def other() -> None:
                got.append(bytes(await reader.read(reader.of("5000"), 5, 10)))

            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await reader.read(reader.of("5000"), 0, 1)
                nursery.start_soon(other)
                await settled()
                go.set()
            assert got == [DATA[5:15]]
        assert len(bucket.requests) == 1

    run(main)


def test_closing_the_last_handle_cancels_unused_fetches() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        key, starts = str(40 * MIB), []

        def read_range(key: str, version_id: str, start: int, stop: int, wanted: Callable[[], bool], _: str) -> bytes:
            starts.append(start)
            while start and wanted() and not go.wait(0.01):
                pass
            if not wanted():
                raise Cancelled("cancelled")
            return content(key)[start:stop]

        bucket.read_range = read_range  # type: ignore[method-assign, assignment]
        async with reading(bucket) as reader:
            file = reader.of(key)
            await reader.read(file, 0, BLOCK)
            await settled()
            assert len(starts) > 1
            reader.close(file)
            with trio.fail_after(120):
                while reader.running:
                    await trio.sleep(0.01)
            go.set()
            assert await reader.all(key) == content(key)

    run(main)


def test_a_fetch_cancelled_before_it_started_makes_no_request(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)
        bucket.fault = lambda *_: go.wait(300)
        async with reading(bucket, connections=1) as reader, trio.open_nursery() as nursery:
            nursery.start_soon(reader.read, reader.of("5000"), 0, 1)
            await settled()
            file = reader.of("6000")
            with trio.move_on_after(0.01):
                await reader.read(file, 0, 1)
            reader.close(file)
            go.set()
        assert [key for key, *_ in bucket.requests] == ["5000"]

    run_bounded(main)
    assert not caplog.records


def test_shutdown_does_not_wait_for_a_hung_server() -> None:
    go = threading.Event()

    async def main(bucket: FakeBucket) -> None:
        bucket.fault = lambda *_: go.wait(300)
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                reader = Opener(Fetcher(bucket, Counters()), MIB, nursery)
                nursery.start_soon(reader.read, reader.of("5000"), 0, 1)
                await settled()
                nursery.cancel_scope.cancel()

    run(main)
    go.set()


def test_a_read_fails_when_the_rest_of_a_whole_object_fails() -> None:
    """A part is in flight when another reader decides to fetch the object whole."""
    key = pack(8 * MIB)

    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)
        refused = True

        def fault(key: str, start: int, stop: int) -> None:
            if start <= 5 * MIB < stop:
                go.wait(300)
            elif refused:
                raise AccessDenied("no")

        bucket.fault = fault
        async with reading(bucket) as reader:
            outcomes: list[str] = []

            async def one() -> None:
                try:
                    await reader.read(reader.of(key), 5 * MIB, 100)
                except S3Error:
                    outcomes.append("failed")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)
                await settled()
                reader.of(key).object.require_whole()
                go.set()
            assert outcomes == ["failed"]
            await fetches_ended(reader)
            refused = False
            assert await reader.all(key) == content(key)

    run_bounded(main)


def test_a_read_succeeds_when_a_concurrent_whole_fetch_fails() -> None:
    key, go = pack(10 * MIB), threading.Event()

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            if start == 5 * MIB:
                go.wait(300)
            elif len(bucket.requests) < 5:
                raise AccessDenied("for now")

        bucket.fault = fault
        async with reading(bucket) as reader, trio.open_nursery() as nursery:
            file, got = reader.of(key), list[bytes]()

            async def one() -> None:
                got.append(bytes(await reader.read(file, 5 * MIB, 100)))

            nursery.start_soon(one)
            await settled()
            file.object.require_whole()
            with pytest.raises(S3Error, match="for now"):
                await reader.read(reader.of(key), 0, 1)
            await settled()
            go.set()
        assert (got, reader.counters.failed) == ([DATA[5 * MIB :][:100]], 1)

    run(main)


def test_the_last_read_does_not_wait_for_a_verification_that_became_impossible() -> None:
    key = pack(8 * MIB)

    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)

        def fault(asked: str, start: int, stop: int) -> None:
            if start <= 4 * MIB < stop:
                go.wait(300)
                raise AccessDenied("no")

        bucket.fault = fault
        async with reading(bucket) as reader:
            file = reader.of(key)
            for offset in (0, 6 * MIB):
                await reader.read(reader.of(key), offset, 2 * MIB)

            async def between() -> None:
                with pytest.raises(S3Error):
                    await reader.read(reader.of(key), 2 * MIB, 4 * MIB)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(between)
                await settled()
                nursery.start_soon(release, go)
                assert bytes(await reader.read(file, 8 * MIB - 10, 10)) == content(key)[-10:]

    async def release(go: threading.Event) -> None:
        await settled()
        go.set()

    run_bounded(main)


def test_every_failed_read_is_counted_once() -> None:
    key = pack(5000)

    async def main() -> None:
        async with reading(FakeBucket(lambda key: first_bit_flipped(content(key)))) as reader:
            for count in (1, 2):
                with pytest.raises(WrongContent):
                    await reader.read(reader.of(key), 0, 1)
                assert reader.counters.failed == count
            assert reader.counters.missed == 0

    run_bounded(main)
