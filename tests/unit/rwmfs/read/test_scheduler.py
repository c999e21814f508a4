"""The scheduler: prefetches of whole objects, started and cancelled."""

from __future__ import annotations

import threading

import pytest
import trio

from rwm.errors import AccessDenied
from tests.unit.fakes import FakeBucket
from tests.unit.reading import (
    MIB,
    assert_each_block_fetched_once,
    content,
    fetches_ended,
    identity_of,
    pack,
    reading,
    run,
    run_bounded,
    settled,
)


def test_an_object_is_buffered_once_all_of_it_is_fetched() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(300)
        async with reading(bucket) as reader:
            object_id = identity_of(f"{5 * MIB}:0")
            assert not reader.scheduler.is_buffered(object_id)
            assert reader.scheduler.prefetch(object_id)
            await settled()
            assert not reader.scheduler.is_buffered(object_id), "in flight"
            go.set()
            await fetches_ended(reader)
            assert reader.scheduler.is_buffered(object_id)
            part = reader.of(f"{40 * MIB}")
            await reader.read(part, 0, MIB)
            await fetches_ended(reader)
            assert not reader.scheduler.is_buffered(part.object.id), "only a part of it"

    run(main)


@pytest.mark.parametrize("is_started", [True, False])
def test_a_prefetched_object_is_returned_only_when_complete(is_started: bool) -> None:
    """Also if it is opened before its prefetch has started."""

    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda key, *_: go.wait(300) if key == "100" else None
        async with reading(bucket, connections=2) as reader, trio.open_nursery() as nursery:
            if not is_started:
                nursery.start_soon(reader.all, "100")
                await settled()
            object_id = identity_of(f"{5 * MIB}:0")
            assert reader.scheduler.prefetch(object_id)
            await settled()
            assert any(key == object_id.key for key, *_ in bucket.requests) is is_started
            file = reader.of(object_id.key)
            go.set()
            await reader.read(file, MIB, 1)
            await fetches_ended(reader)
            assert sum(stop - start for key, start, stop in bucket.requests if key == object_id.key) == 5 * MIB
            assert file.object.whole

    assert_each_block_fetched_once(run(main))


def test_a_failing_prefetch_is_not_repeated() -> None:
    key = pack(16 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)

        def fault(asked: str, start: int, stop: int) -> None:
            if start == 8 * MIB:
                raise AccessDenied("no")

        bucket.fault = fault
        async with reading(bucket) as reader:
            assert reader.scheduler.prefetch(identity_of(key))
            await fetches_ended(reader)
            assert len(bucket.requests) <= 4

    run_bounded(main)


@pytest.mark.parametrize("connections", [1, 2, 16])
def test_prefetched_and_cancelled_objects_leave_no_records(connections: int) -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), 8 * MIB, connections) as reader:
            for number in range(20):
                key = pack(MIB + number)
                assert reader.scheduler.prefetch(identity_of(key))
                if number % 2:
                    assert await reader.all(key) == content(key)
                else:
                    await settled()
                    reader.scheduler.cancel_prefetch(identity_of(key))
            await fetches_ended(reader)
            assert reader.memory <= 8 * MIB
            assert not reader.scheduler._prefetches
            assert all(buffered.pieces for buffered in reader._buffer)

    run_bounded(main)


def test_cancelling_a_prefetch_keeps_an_object_that_is_open() -> None:
    key = pack(MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket) as reader:
            assert reader.scheduler.prefetch(identity_of(key))
            file = reader.of(key)
            reader.scheduler.cancel_prefetch(identity_of(key))
            assert bytes(await reader.read(file, 0, MIB)) == content(key)
            assert not reader.scheduler.prefetch(identity_of(key)), "in memory"
            reader.scheduler.cancel_prefetch(identity_of(key))
            reader.close(file)
            assert await reader.all(key) == content(key)
        assert len(bucket.requests) == 1

    run_bounded(main)


def test_empty_and_huge_objects_are_not_prefetched() -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), 8 * MIB) as reader:
            reader.scheduler.prefetch(identity_of("0"))
            assert not reader.scheduler.prefetch(identity_of(f"{2 * MIB + 1}"))
            assert not list(reader._buffer)

    run_bounded(main)
