"""Reads by block: the right bytes, few requests, each block once, failures where they belong."""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import rwmfs.read.pieces as pieces_module
import rwmfs.read.reader as reader_module
from rwm.errors import AccessDenied, Cancelled, NotFound, S3Error, Unreachable
from rwm.model import Entry
from rwmfs.cache.block_file import BLOCK
from rwmfs.object_id import ObjectId
from rwmfs.prefetch.depth import FEW
from rwmfs.read.counters import Counters
from rwmfs.read.fetcher import Fetcher
from rwmfs.read.open_object import OpenObject
from rwmfs.read.pieces import Piece
from rwmfs.read.reader import ECHO, SCATTERED, Reader
from rwmfs.read.verification import WrongContent
from tests.unit.fakes import FakeBucket, FakeTree, entry_for, version_of
from tests.unit.reading import DATA, MIB, Opener, content, pack, reading, settled


def run(test: Callable[[FakeBucket], Awaitable[None]]) -> FakeBucket:
    bucket = FakeBucket(content)
    trio.run(test, bucket)
    return bucket


def no_part_twice(bucket: FakeBucket) -> None:
    grains = [
        (key, grain) for key, start, stop in bucket.requests for grain in range(start // BLOCK, -(-stop // BLOCK))
    ]
    assert len(grains) == len(set(grains))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 777]),
    st.lists(
        st.lists(st.tuples(st.integers(0, 10 * MIB), st.sampled_from([1, 4096, 131072, MIB, 5 * MIB])), max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0, MIB, 3 * MIB, 64 * MIB]),
    st.sampled_from([1, 2, 16]),
    st.booleans(),
)
def test_any_reads_by_any_readers_give_the_bytes(
    size: int, readers: list[list[tuple[int, int]]], limit: int, connections: int, named: bool
) -> None:
    key = pack(size) if named else f"{size}:0"

    async def one(reader: Opener, reads: list[tuple[int, int]]) -> None:
        file = reader.of(key)
        for offset, count in reads:
            assert bytes(await reader.read(file, offset, count)) == DATA[:size][offset : offset + count]
        reader.close(file)

    async def main() -> None:
        async with reading(FakeBucket(content), limit, connections) as reader, trio.open_nursery() as nursery:
            for reads in readers:
                nursery.start_soon(one, reader, reads)

    trio.run(main)


def test_readers_of_the_same_part_share_a_request() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(10)
        async with reading(bucket) as reader:

            async def one() -> None:
                file = reader.of("100000")
                assert bytes(await reader.read(file, 10, 20)) == DATA[10:30]

            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(one)
                await settled()
                go.set()

    assert run(main).requests == [("100000", 0, 100000)]


def test_a_small_object_comes_whole_and_once() -> None:
    key = str(4 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            for offset in (3 * MIB, 5, 2 * MIB):
                await reader.read(reader.of(key), offset, 100)

    assert run(main).requests == [(key, 0, 4 * MIB)]


def test_random_access_fetches_what_it_needs() -> None:
    key = str(32 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            file = reader.of(key)
            for offset in (20, 9, 27, 3):
                await reader.read(file, offset * MIB + 5, 1000)
            assert reader.counters.fetched == 4 * BLOCK

    assert run(main).requests == [(key, place * MIB, place * MIB + BLOCK) for place in (20, 9, 27, 3)]


def test_much_random_access_to_one_object_fetches_the_whole_of_it() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            file = reader.of(str(16 * MIB))
            for place in range(SCATTERED):
                await reader.read(file, (place * 5 % 16) * MIB + MIB // 2, 1000)
            before = len(bucket.requests)
            for place in range(16):
                await reader.read(file, (place * 7 % 16) * MIB, 1000)
            assert len(bucket.requests) - before < 16

    no_part_twice(run(main))


def test_sequential_access_costs_few_large_requests() -> None:
    key = str(40 * MIB)

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            await reader.all(key, 128 * 1024)
            assert reader.counters.wasted == 0

    bucket = run(main)
    no_part_twice(bucket)
    assert len(bucket.requests) < 20


@pytest.mark.parametrize(("readers", "connections"), [(1, 1), (6, 1), (6, 2), (12, 4)])
def test_sequential_access_costs_few_requests_when_connections_are_few(readers: int, connections: int) -> None:
    size, step = 16 * MIB, 128 * 1024

    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, connections=connections) as reader, trio.open_nursery() as nursery:
            for number in range(readers):
                nursery.start_soon(reader.all, f"{size}:{number}", step)

    bucket = run(main)
    no_part_twice(bucket)
    assert len(bucket.requests) <= readers * (size // MIB)


def test_a_read_of_many_windows_is_fetched_in_parallel() -> None:
    async def main(bucket: FakeBucket) -> None:
        barrier = threading.Barrier(4, timeout=10)
        bucket.fault = lambda *_: barrier.wait()
        async with reading(bucket, limit=0) as reader:
            assert len(await reader.read(reader.of(str(16 * MIB)), 0, 16 * MIB)) == 16 * MIB

    run(main)


def test_objects_are_fetched_whole_once_it_shows_that_they_are_read_whole() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            for number in range(3):
                await reader.all(f"{16 * MIB}:{number}")
            bucket.requests.clear()
            await reader.read(reader.of(f"{16 * MIB}:3"), 0, 4096)
            assert sum(stop - start for _, start, stop in bucket.requests) == 16 * MIB

    run(main)


def test_what_was_read_and_is_closed_leaves_without_need() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, limit=64 * MIB) as reader:
            for number in range(6):
                await reader.all(f"{5 * MIB}:{number}")
                await settled()
                assert reader.memory <= 8 * MIB
            assert reader.counters.wasted == 0
            assert len(await reader.all(f"{5 * MIB}:0")) == 5 * MIB, "and comes again"

    run(main)


def test_memory_is_bounded() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, limit=24 * MIB) as reader:
            most = 0
            for number in range(6):
                await reader.all(f"{10 * MIB}:{number}")
                most = max(most, reader.memory)
            await settled()
            assert most <= 24 * MIB
            assert reader.memory <= 24 * MIB

    run(main)


def test_what_is_in_other_use_is_not_used_twice() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with trio.open_nursery() as nursery:
            reader = Opener(Fetcher(bucket, Counters()), 24 * MIB, nursery, idle=8 * MIB)
            for number in range(4):
                await reader.all(f"{5 * MIB}:{number}", close=False)
            await settled()
            assert 10 * MIB <= reader.memory <= 16 * MIB

    run(main)


def test_what_leaves_has_left_when_a_fetch_begins() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket, limit=24 * MIB) as reader:
            memory: list[int] = []
            bucket.fault = lambda *_: memory.append(reader.memory)
            for number in range(4):
                await reader.all(f"{10 * MIB}:{number}", close=False)
            await settled()
            assert reader.expect(reader.of(f"{5 * MIB}:5").held.id) is False, "it is open"
            soon = entry_for(f"{5 * MIB}:6", 5 * MIB)
            assert reader.expect(ObjectId(soon.key, soon.version_id, soon.size, soon.etag))
            await settled()
            assert max(memory) <= 24 * MIB
            assert memory[-1] == reader.memory > 20 * MIB - 1

    run(main)


def test_connections_are_bounded() -> None:
    running, most, lock = 0, 0, threading.Lock()

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.01)
            with lock:
                running -= 1

        bucket.fault = fault
        async with reading(bucket, connections=3) as reader, trio.open_nursery() as nursery:
            for offset in range(20):
                nursery.start_soon(reader.read, reader.of(f"1000:{offset}"), 0, 1000)

    run(main)
    assert most == 3


def test_what_fails_for_good_fails_those_who_wait_and_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async def main(bucket: FakeBucket) -> None:
        failures: list[S3Error] = []

        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) == 1:
                raise AccessDenied("no")

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


def test_a_server_in_trouble_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
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


def test_who_asks_again_at_once_does_not_wait_twice() -> None:
    """As the kernel does, for the first page of what failed."""

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            raise Unreachable("no route")

        bucket.fault = fault
        async with reading(bucket, seconds=ECHO + 0.1) as reader:
            file = reader.of("9000")
            with pytest.raises(S3Error, match="no usable answer within 1 s"):
                await reader.read(file, 4096, 4904)
            asked = len(bucket.requests)
            with pytest.raises(S3Error, match="no usable answer within 1 s; the last one: no route"):
                await reader.read(file, 4096, 4096)
            assert len(bucket.requests) == asked
            bucket.fault = lambda *_: None
            assert await reader.read(file, 0, 4096) == DATA[:4096], "other bytes"
            assert await reader.read(reader.of("9000"), 4096, 4096) == DATA[4096:8192], "another reader"
            await trio.sleep(ECHO)
            assert await reader.read(file, 4096, 4096) == DATA[4096:8192], "a moment later"

    run(main)


def test_a_failure_ahead_of_a_reader_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
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
def test_an_answer_of_another_length_is_an_error(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwmfs.read.fetcher._pauses", lambda: itertools.repeat(0.0))

    async def main() -> None:
        bucket = FakeBucket(lambda key: answer)
        async with reading(bucket) as reader:
            bucket.read_range = lambda *_: answer  # type: ignore[method-assign]
            with pytest.raises(S3Error, match="5000 were asked for"):
                await reader.read(reader.of("5000"), 0, 1)

    trio.run(main)


def test_a_version_that_is_gone() -> None:
    async def main(bucket: FakeBucket) -> None:
        async with reading(bucket) as reader:
            with pytest.raises(S3Error) as caught:
                await reader.read(reader.open(Entry("5000", "gone", 5000, "e", 0)), 0, 1)
            assert isinstance(caught.value.__cause__, NotFound)

    run(main)


def test_an_unforeseen_error_fails_the_read_and_not_the_mount() -> None:
    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            raise KeyError("oops")

        bucket.fault = fault
        async with reading(bucket) as reader:
            with pytest.raises(S3Error, match="unexpected KeyError"):
                await reader.read(reader.of("5000"), 0, 1)

    run(main)


def test_a_server_that_hangs_is_left_after_a_while() -> None:
    go = threading.Event()

    async def main(bucket: FakeBucket) -> None:
        bucket.fault = lambda *_: go.wait(30)
        async with reading(bucket, seconds=0.05) as reader:
            with pytest.raises(S3Error, match="no usable answer within"):
                await reader.read(reader.of("5000"), 0, 1)
            go.set()
            assert bytes(await reader.read(reader.of("5001"), 0, 9)) == DATA[:9]

    run(main)


def test_a_cancelled_read_leaves_its_fetch_to_the_others() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(10)
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


def test_what_nobody_waits_for_is_given_up_when_the_object_is_closed() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        key, asked = str(40 * MIB), []

        def read_range(key: str, version_id: str, start: int, stop: int, wanted: Callable[[], bool], _: str) -> bytes:
            asked.append(start)
            while start and wanted() and not go.wait(0.01):
                pass
            if not wanted():
                raise Cancelled("given up")
            return content(key)[start:stop]

        bucket.read_range = read_range  # type: ignore[method-assign, assignment]
        async with reading(bucket) as reader:
            file = reader.of(key)
            await reader.read(file, 0, BLOCK)
            await settled()
            assert len(asked) > 1
            reader.close(file)
            with trio.fail_after(10):
                while reader.running:
                    await trio.sleep(0.01)
            go.set()
            assert await reader.all(key) == content(key)

    run(main)


def test_the_end_of_the_mount_does_not_wait_for_a_hung_server() -> None:
    go = threading.Event()

    async def main(bucket: FakeBucket) -> None:
        bucket.fault = lambda *_: go.wait(30)
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                reader = Opener(Fetcher(bucket, Counters()), MIB, nursery)
                nursery.start_soon(reader.read, reader.of("5000"), 0, 1)
                await settled()
                nursery.cancel_scope.cancel()

    run(main)
    go.set()


# --- wrong content ---------------------------------------------------------------------------------------


def damaged(key: str, place: int) -> Callable[[str], bytes]:
    """Content with one wrong byte in one object."""

    def wrong(asked: str) -> bytes:
        data = bytearray(content(asked))
        if asked == key:
            data[place] ^= 1
        return bytes(data)

    return wrong


@pytest.mark.parametrize("size", [1, 5000, 4 * MIB])
def test_a_small_object_with_wrong_content_is_never_handed_out(size: int, caplog: pytest.LogCaptureFixture) -> None:
    key = pack(size)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, size - 1))) as reader:
            with pytest.raises(WrongContent):
                await reader.read(reader.of(key), 0, 1)
            assert reader.counters.served == 0
            assert reader.memory == 0

    trio.run(main)
    assert f"wrong content: {key}" in caplog.text


def test_wrong_content_that_does_not_come_again_does_no_harm() -> None:
    key = pack(5000)

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 17))

        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) == 2:
                bucket.content = content

        bucket.fault = fault
        async with reading(bucket) as reader:
            assert await reader.all(key) == content(key)
        assert len(bucket.requests) == 2

    trio.run(main)


def test_who_comes_late_gets_nothing_of_what_was_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces are here, and found to be wrong before the reader goes on."""
    key, waited = pack(5000), pieces_module.all_done

    async def late(pieces: list[Piece]) -> None:
        await waited(pieces)
        await settled()

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 17))

        def fault(key: str, start: int, stop: int) -> None:
            if len(bucket.requests) == 2:
                bucket.content = content

        bucket.fault = fault
        monkeypatch.setattr(reader_module, "all_done", late)
        async with reading(bucket) as reader, trio.open_nursery() as nursery:
            got: list[bytes] = []

            async def one() -> None:
                got.append(await reader.all(key))

            for _ in range(3):
                nursery.start_soon(one)
        assert got == [content(key)] * 3

    trio.run(main)


def test_a_read_goes_on_when_the_object_is_fetched_whole_meanwhile_and_that_fails() -> None:
    key, go = pack(10 * MIB), threading.Event()

    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            if start == 5 * MIB:
                go.wait(10)
            elif len(bucket.requests) < 5:
                raise AccessDenied("for now")

        bucket.fault = fault
        async with reading(bucket) as reader, trio.open_nursery() as nursery:
            file, got = reader.of(key), list[bytes]()

            async def one() -> None:
                got.append(bytes(await reader.read(file, 5 * MIB, 100)))

            nursery.start_soon(one)
            await settled()
            file.held.make_whole()
            with pytest.raises(S3Error, match="for now"):
                await reader.read(reader.of(key), 0, 1)
            await settled()
            go.set()
        assert (got, reader.counters.failed) == ([DATA[5 * MIB :][:100]], 1)

    run(main)


@pytest.mark.parametrize("place", [0, 5 * MIB, 10 * MIB - 1])
def test_an_object_that_is_read_from_end_to_end_does_not_end_well_when_it_is_wrong(place: int) -> None:
    key = pack(10 * MIB)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, place))) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)
            assert reader.counters.served < 10 * MIB

    trio.run(main)


def test_of_an_object_that_will_be_read_whole_nothing_is_handed_out_when_it_is_wrong() -> None:
    key = pack(10 * MIB, 7)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, 9 * MIB))) as reader:
            for number in range(3):
                await reader.all(pack(10 * MIB, number))
            served = reader.counters.served
            with pytest.raises(WrongContent):
                await reader.read(reader.of(key), 0, 4096)
            assert reader.counters.served == served

    trio.run(main)


def test_a_part_of_a_wrong_object_cannot_be_told_from_a_right_one() -> None:
    key = pack(10 * MIB)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, 9 * MIB))) as reader:
            assert bytes(await reader.read(reader.of(key), 5 * MIB, 100)) == DATA[5 * MIB :][:100]

    trio.run(main)


def test_an_object_that_left_the_memory_is_proven_again() -> None:
    key = pack(3 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket, limit=12 * MIB) as reader:
            assert await reader.all(key) == content(key)
            for number in range(4):
                await reader.all(pack(3 * MIB, number + 1))
            bucket.content = damaged(key, 2 * MIB)
            with pytest.raises(WrongContent):
                await reader.all(key)

    trio.run(main)


def test_who_has_it_open_when_it_is_found_wrong_gets_errors_and_who_opens_it_then_the_bytes() -> None:
    """The kernel asks again, for a page or two, when an answer to it was an error."""
    key = pack(10 * MIB)

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 5 * MIB))
        async with reading(bucket) as reader:
            file, beside = reader.of(key), reader.of(key)
            with pytest.raises(WrongContent):
                await read_on(reader, file)
            bucket.content = content
            for handle, offset in [(file, 10 * MIB - 4096), (file, 0), (beside, 10 * MIB - 4096)]:
                with pytest.raises(WrongContent):
                    await reader.read(handle, offset, 4096)
            assert reader.counters.failed == 4
            assert await reader.all(key) == content(key)

    trio.run(main)


async def read_on(reader: Opener, file: OpenObject) -> None:
    for offset in range(0, file.held.id.size, MIB):
        await reader.read(file, offset, MIB)


def test_the_kernel_keeps_what_is_proven_and_no_more() -> None:
    """``keep`` says at the next opening whether the kernel may go on with what it has."""
    key, small, unnamed = pack(10 * MIB), pack(5000), str(5 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket) as reader:

            def of(key: str, place: int) -> OpenObject:
                return reader.open(entry_for(key, len(content(key))), place=place)

            for place, name in enumerate([key, small, unnamed]):
                file = of(name, place)
                assert file.keep, "the kernel has nothing yet"
                await reader.read(file, 0, 1000)
            assert [of(name, place).keep for place, name in enumerate([key, small, unnamed])] == [False, True, True]
            assert of(key, 0).keep, "nothing was read since"
            await read_on(reader, of(key, 0))
            await reader.read(of(key, 10), 5 * MIB, 1000)
            assert of(key, 0).keep and of(key, 10).keep, "proven from one end to the other"

    trio.run(main)


def test_the_kernel_does_not_keep_what_is_wrong() -> None:
    key = pack(10 * MIB)

    async def main() -> None:
        bucket = FakeBucket(damaged(key, 5 * MIB))
        async with reading(bucket) as reader:
            file = reader.of(key)
            with pytest.raises(WrongContent):
                await read_on(reader, file)
            assert not reader.of(key).keep

    trio.run(main)


class SlowDisk:
    """A disk that writes the start of an object only when it was dropped, and then all the same."""

    def __init__(self) -> None:
        self.kept: set[int] = set()
        self.dropped = threading.Event()

    def read(self, identity: ObjectId, start: int, stop: int) -> None:
        return None

    def write(self, identity: ObjectId, start: int, data: memoryview, *, proven: bool) -> None:
        if start == 0:
            self.dropped.wait(10)
        self.kept.add(start)

    def drop(self, identity: ObjectId) -> None:
        self.dropped.set()
        self.kept.clear()


@pytest.mark.parametrize("size", [5000, 10 * MIB])
def test_wrong_content_does_not_stay_on_disk(size: int) -> None:
    """Whether it is written before, meanwhile or never."""
    key, disk = pack(size), SlowDisk()

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, size - 1)), disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)

    trio.run(main)
    assert disk.dropped.is_set()
    assert disk.kept == set()


def test_all_that_goes_wrong_with_an_object_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    key = pack(5000)

    async def main() -> None:
        async with reading(FakeBucket(damaged(key, 17))) as reader:
            file = reader.of(key)
            for _ in range(2):
                with pytest.raises(WrongContent):
                    await reader.read(file, 0, 4096)

    trio.run(main)
    assert len(caplog.records) == 1


def test_the_last_answer_is_named_when_the_time_is_up(caplog: pytest.LogCaptureFixture) -> None:
    async def main(bucket: FakeBucket) -> None:
        def fault(key: str, start: int, stop: int) -> None:
            raise Unreachable("SlowDown")

        bucket.fault = fault
        async with reading(bucket, seconds=0.3) as reader:
            with pytest.raises(S3Error, match="no usable answer within 0 s; the last one: SlowDown"):
                await reader.read(reader.of("5000"), 0, 100)

    run(main)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        f"cannot read 5000 (version {version_of('5000')}): no usable answer within 0 s; the last one: SlowDown"
    ]


# --- packs before they are opened ------------------------------------------------------------------------

PACK = 2 * MIB


def packs(count: int) -> FakeTree:
    """A state of packs, in the order of their upload."""
    entries = []
    for number in range(count):
        key = pack(PACK, number)
        entries.append(Entry(key, version_of(key), PACK, "e", 1000 * number))
    return FakeTree(entries)


async def restored(reader: Reader, state: FakeTree, ranks: Iterable[int], *, settle: bool = True) -> None:
    """Open and read packs one after the other, as restic does."""
    order = state.upload_order()
    for rank in ranks:
        entry = order.entry(rank)
        assert entry is not None
        file = reader.open(entry, state.info)
        for offset in range(0, entry.size, MIB):
            assert bytes(await reader.read(file, offset, MIB)) == content(entry.key)[offset : offset + MIB]
        reader.close(file)
        if settle:
            await settled()


def test_packs_that_are_opened_in_upload_order_are_fetched_before() -> None:
    state = packs(60)
    almost = [0, 1, 4, 6, 2, 5, 3, 8, 7, 9, 10, 11, 13, 12, 14, 15, 18, 19, 16, 17, 24, 21, 23, 20, 22, *range(25, 60)]

    async def main() -> None:
        async with reading(bucket := FakeBucket(content), state=state) as reader:
            await restored(reader, state, almost)
            assert reader.counters.hit_rate > 0.5
            assert reader.counters.wasted + reader.unread == 0
            assert reader.counters.fetched == 60 * PACK
            no_part_twice(bucket)

    trio.run(main)


def test_packs_in_no_order_are_not_fetched_before() -> None:
    state = packs(60)
    ranks = list(range(60))
    random.Random(5).shuffle(ranks)

    async def main() -> None:
        async with reading(FakeBucket(content), state=state) as reader:
            await restored(reader, state, ranks[:40])
            assert reader.counters.fetched <= 42 * PACK

    trio.run(main)


async def finished(reader: Reader) -> None:
    """Wait until nothing is fetched any more."""
    while reader.running:
        await settled()


def test_an_object_is_here_when_all_of_it_has_come() -> None:
    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda *_: go.wait(10)
        async with reading(bucket) as reader:
            soon = entry_for(f"{5 * MIB}:0", 5 * MIB)
            identity = ObjectId(soon.key, soon.version_id, soon.size, soon.etag)
            assert not reader.is_here(identity)
            assert reader.expect(identity)
            await settled()
            assert not reader.is_here(identity), "it is on its way"
            go.set()
            await finished(reader)
            assert reader.is_here(identity)
            part = reader.of(f"{40 * MIB}")
            await reader.read(part, 0, MIB)
            await finished(reader)
            assert not reader.is_here(part.held.id), "a part of it is"

    run(main)


@pytest.mark.parametrize("begun", [True, False])
def test_nothing_is_handed_out_of_what_was_expected_before_all_of_it_is_here(begun: bool) -> None:
    """Also where it had to wait for a connection until it was opened."""

    async def main(bucket: FakeBucket) -> None:
        go = threading.Event()
        bucket.fault = lambda key, *_: go.wait(10) if key == "100" else None
        async with reading(bucket, connections=2) as reader, trio.open_nursery() as nursery:
            if not begun:
                nursery.start_soon(reader.all, "100")
                await settled()
            soon = entry_for(f"{5 * MIB}:0", 5 * MIB)
            assert reader.expect(ObjectId(soon.key, soon.version_id, soon.size, soon.etag))
            await settled()
            assert any(key == soon.key for key, *_ in bucket.requests) is begun
            file = reader.of(soon.key)
            go.set()
            await reader.read(file, MIB, 1)
            await finished(reader)
            assert sum(stop - start for key, start, stop in bucket.requests if key == soon.key) == 5 * MIB
            assert file.held.whole

    no_part_twice(run(main))


@pytest.mark.parametrize(("readers", "connections"), [(8, 4), (8, 16), (2, 2)])
def test_what_is_foretold_and_has_to_wait_is_fetched_once(readers: int, connections: int) -> None:
    """Many read at once, and nothing that nobody waits for finds a connection."""
    state = packs(60)

    async def main(bucket: FakeBucket) -> None:
        bucket.fault = lambda *_: time.sleep(0.005)
        ranks = iter(range(60))

        async def reads(reader: Opener) -> None:
            for rank in ranks:
                await restored(reader, state, [rank], settle=False)

        async with reading(bucket, connections=connections, state=state) as reader:
            async with trio.open_nursery() as nursery:
                for _ in range(readers):
                    nursery.start_soon(reads, reader)
            assert reader.counters.fetched == 60 * PACK

    bucket = FakeBucket(content)
    trio.run(main, bucket)
    no_part_twice(bucket)


def test_little_is_in_vain_when_the_order_ends() -> None:
    state = packs(60)

    async def main() -> None:
        async with reading(FakeBucket(content), state=state) as reader:
            await restored(reader, state, range(40))
            assert reader.unread == FEW * PACK
            await restored(reader, state, [58, 3, 52, 11, 46])
            assert reader.counters.fetched - reader.counters.served <= 40 * PACK // 8

    trio.run(main)


def test_who_reads_little_gets_nothing_in_vain() -> None:
    state = packs(60)

    async def main() -> None:
        async with reading(FakeBucket(content), state=state) as reader:
            await restored(reader, state, range(6))
            assert reader.counters.fetched == 6 * PACK

    trio.run(main)
