"""What goes wrong while others read the same object: nobody waits for ever, and nobody gets what was thrown away."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import pytest
import trio

from rwm.errors import AccessDenied, S3Error
from rwmfs.cache.block_file import BLOCK, StoredRange
from rwmfs.object_id import ObjectId
from rwmfs.read.content_hash import ContentHash
from rwmfs.read.request_size import HITS
from rwmfs.read.verification import WrongContent
from tests.unit.fakes import FakeBucket, entry_for
from tests.unit.reading import DATA, MIB, Opener, content, pack, reading, settled


class Memory:
    """A cache on disk that is none."""

    def __init__(self) -> None:
        self.kept: dict[tuple[ObjectId, int], bytes] = {}
        self.proven: set[tuple[ObjectId, int]] = set()

    def read(self, identity: ObjectId, start: int, stop: int) -> StoredRange | None:
        data = self.kept.get((identity, start))
        if data is None or len(data) != stop - start:
            return None
        return StoredRange(memoryview(data), (identity, start) in self.proven)

    def write(self, identity: ObjectId, start: int, data: memoryview, *, proven: bool) -> None:
        self.kept[(identity, start)] = bytes(data)
        (self.proven.add if proven else self.proven.discard)((identity, start))

    def drop(self, identity: ObjectId) -> None:
        self.kept = {place: data for place, data in self.kept.items() if place[0] != identity}


def identity_of(key: str) -> ObjectId:
    entry = entry_for(key, len(content(key)))
    return ObjectId(entry.key, entry.version_id, entry.size, entry.etag)


def altered(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(60):  # a read that hangs
            await main()

    trio.run(bounded)


# --- reads that would wait for ever ------------------------------------------------------------------------


def test_a_read_goes_on_when_its_object_is_to_come_whole_now_and_the_rest_fails() -> None:
    """A part is on its way when another reader decides that the object is fetched whole."""
    key = pack(8 * MIB)

    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)
        refused = True

        def fault(key: str, start: int, stop: int) -> None:
            if start <= 5 * MIB < stop:
                go.wait(10)
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
                held = reader.of(key).held
                held.make_whole()
                go.set()
            assert outcomes == ["failed"]
            while reader.running:
                await trio.sleep(0.01)
            refused = False
            assert await reader.all(key) == content(key)

    run(main)


def test_a_read_whose_pieces_are_thrown_away_while_it_waits_gets_others() -> None:
    """Two wait for the same wrong pieces; when the first has found that out the second does not take them."""
    key = pack(8 * MIB)

    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)

        def fault(asked: str, start: int, stop: int) -> None:
            bucket.content = (lambda name: altered(content(name))) if len(bucket.requests) <= 2 else content
            if start:
                go.wait(10)

        bucket.fault = fault
        async with reading(bucket) as reader:
            got: list[bytes] = []

            async def one() -> None:
                got.append(bytes(await reader.read(reader.of(key), 0, 2 * MIB)))

            reader.of(key).held.make_whole()
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(one)
                await settled()
                go.set()
            assert got == [content(key)[: 2 * MIB]] * 10

    run(main)


def test_the_last_bytes_do_not_wait_for_a_proof_that_another_reader_fails_to_make_possible() -> None:
    key = pack(8 * MIB)

    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)

        def fault(asked: str, start: int, stop: int) -> None:
            if start <= 4 * MIB < stop:
                go.wait(10)
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

    run(main)


# --- wrong content -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5000, 8 * MIB])
def test_wrong_content_on_disk_is_not_taken_twice_nor_written_again(size: int) -> None:
    key, disk, bucket = pack(size), Memory(), FakeBucket(content)

    async def main() -> None:
        async with reading(bucket, disk=disk) as reader:
            reader.of(key).held.make_whole()
            assert await reader.all(key) == content(key)
        async with reading(bucket, disk=disk) as reader:
            for place, data in disk.kept.items():
                disk.kept[place] = altered(data)
            disk.proven.clear()
            bucket.requests.clear()
            reader.of(key).held.make_whole()
            assert await reader.all(key) == content(key)
            assert bucket.requests
        for (_, start), data in disk.kept.items():
            assert data == content(key)[start:][: len(data)]

    run(main)


@pytest.mark.parametrize("size", [5000, 10 * MIB])
def test_what_is_proven_when_it_is_kept_is_not_hashed_again(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    key, disk, bucket, hashed = pack(size), Memory(), FakeBucket(content), list[int]()
    unhindered = ContentHash.add

    def add(proof: ContentHash, data: memoryview) -> None:
        hashed.append(len(data))
        unhindered(proof, data)

    monkeypatch.setattr(ContentHash, "add", add)

    async def read() -> None:
        async with reading(bucket, disk=disk) as reader:
            reader.of(key).held.make_whole()
            assert await reader.all(key) == content(key)

    async def main() -> None:
        await read()
        assert sum(hashed) == size
        assert set(disk.kept) == disk.proven
        bucket.requests.clear()
        await read()
        assert sum(hashed) == size
        disk.proven.remove(max(disk.proven))
        await read()
        assert sum(hashed) == 2 * size, "all of it, or nothing would be proven"
        disk.kept[max(disk.kept)] = altered(disk.kept[max(disk.kept)])
        assert not bucket.requests
        await read()
        assert bucket.requests, "what was wrong on disk"

    run(main)


def test_while_all_is_on_disk_it_comes_in_large_parts() -> None:
    """They cost no round trip, so there is nothing to be had from several at once."""
    others, large = [pack(2 * MIB, offset) for offset in range(HITS)], pack(14 * MIB, 1)
    reads: list[tuple[int, int]] = []

    class Watched(Memory):
        def read(self, identity: ObjectId, start: int, stop: int) -> StoredRange | None:
            reads.append((start, stop))
            return super().read(identity, start, stop)

    disk = Watched()

    async def main() -> None:
        async with reading(FakeBucket(content), disk=disk) as reader:
            for key in others:
                assert await reader.all(key) == content(key)
        async with reading(FakeBucket(content), disk=disk) as reader:
            for key in others:
                assert await reader.all(key) == content(key)
            reads.clear()
            reader.of(large).held.make_whole()
            assert await reader.all(large) == content(large)
            assert reads == [(0, 14 * MIB)]

    run(main)


@pytest.mark.parametrize("size", [5000, 6 * MIB])
def test_what_no_name_proves_is_kept_as_such(size: int) -> None:
    disk = Memory()

    async def main() -> None:
        async with reading(FakeBucket(content), disk=disk) as reader:
            assert await reader.all(str(size)) == DATA[:size]
        assert sum(map(len, disk.kept.values())) == size
        assert not disk.proven

    run(main)


def test_what_is_not_fetched_whole_is_hashed_wherever_it_comes_from() -> None:
    """What was vouched for may have left the memory when something comes that is not."""
    key, disk = pack(12 * MIB), Memory()

    async def main() -> None:
        async with reading(FakeBucket(content), limit=8 * MIB, disk=disk) as reader:
            assert await reader.all(key) == content(key)
        last = max(disk.kept)
        disk.kept[last] = altered(disk.kept[last])
        disk.proven = disk.kept.keys() - {last}
        async with reading(FakeBucket(content), limit=8 * MIB, disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)

    run(main)


def test_wrong_content_does_not_stay_on_disk() -> None:
    key, disk = pack(8 * MIB), Memory()

    async def main() -> None:
        async with reading(FakeBucket(lambda key: altered(content(key))), disk=disk) as reader:
            with pytest.raises(WrongContent):
                await reader.all(key)
        assert not disk.kept

    run(main)


def test_what_left_the_memory_and_came_back_otherwise_does_not_pass_for_what_was_there() -> None:
    """The start of an object is read and leaves; then all of it is read, and its start is wrong now."""
    key = pack(8 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket, limit=16 * MIB) as reader:
            assert bytes(await reader.read(reader.of(key), 0, 2 * MIB)) == content(key)[: 2 * MIB]
            await settled()
            await reader.all(f"{20 * MIB}:1")
            bucket.content = lambda key: altered(content(key))
            with pytest.raises(WrongContent):
                await reader.all(key)

    run(main)


# --- what is asked for in vain -----------------------------------------------------------------------------


def test_a_reader_does_not_leave_the_hashing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves the memory before its turn would be missing in the proof, and all of it would pass unproven."""
    key, go = pack(12 * MIB), threading.Event()

    unhindered = ContentHash.add

    def add(proof: ContentHash, data: memoryview) -> None:
        go.wait(10)
        unhindered(proof, data)

    monkeypatch.setattr(ContentHash, "add", add)

    async def main() -> None:
        bucket = FakeBucket(lambda key: altered(content(key)))
        async with reading(bucket, limit=8 * MIB) as reader, trio.open_nursery() as nursery:
            nursery.start_soon(fails, reader)
            while not reader.counters.served:
                await trio.sleep(0.01)
            await trio.sleep(0.1)
            assert reader.counters.served < 8 * MIB
            go.set()

    async def fails(reader: Opener) -> None:
        with pytest.raises(WrongContent):
            await reader.all(key)

    run(main)


def test_an_expected_object_whose_end_cannot_be_had_is_not_asked_for_again_and_again() -> None:
    key = pack(16 * MIB)

    async def main() -> None:
        bucket = FakeBucket(content)

        def fault(asked: str, start: int, stop: int) -> None:
            if start == 8 * MIB:
                raise AccessDenied("no")

        bucket.fault = fault
        async with reading(bucket) as reader:
            assert reader.expect(identity_of(key))
            while reader.running:
                await trio.sleep(0.01)
            assert len(bucket.requests) <= 4

    run(main)


def test_what_is_given_up_before_its_turn_is_never_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        go, bucket = threading.Event(), FakeBucket(content)
        bucket.fault = lambda *_: go.wait(10)
        async with reading(bucket, connections=1) as reader, trio.open_nursery() as nursery:
            nursery.start_soon(reader.read, reader.of("5000"), 0, 1)
            await settled()
            file = reader.of("6000")
            with trio.move_on_after(0.01):
                await reader.read(file, 0, 1)
            reader.close(file)
            go.set()
        assert [key for key, *_ in bucket.requests] == ["5000"]

    run(main)
    assert not caplog.records


@pytest.mark.parametrize("connections", [1, 2, 16])
def test_nothing_is_kept_of_objects_that_were_expected_and_came_and_went(connections: int) -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), 8 * MIB, connections) as reader:
            for number in range(20):
                key = pack(MIB + number)
                assert reader.expect(identity_of(key))
                if number % 2:
                    assert await reader.all(key) == content(key)
                else:
                    await settled()
                    reader.not_expected(identity_of(key))
            while reader.running:
                await trio.sleep(0.01)
            assert reader.memory <= 8 * MIB
            assert not reader._expected
            assert all(held.pieces for held in reader._buffer)

    run(main)


def test_what_is_read_is_not_dropped_when_it_is_not_expected_any_more() -> None:
    key = pack(MIB)

    async def main() -> None:
        bucket = FakeBucket(content)
        async with reading(bucket) as reader:
            assert reader.expect(identity_of(key))
            file = reader.of(key)
            reader.not_expected(identity_of(key))
            assert bytes(await reader.read(file, 0, MIB)) == content(key)
            assert not reader.expect(identity_of(key)), "it is here"
            reader.not_expected(identity_of(key))
            reader.close(file)
            assert await reader.all(key) == content(key)
        assert len(bucket.requests) == 1

    run(main)


def test_an_empty_or_a_huge_object_is_not_worth_expecting() -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), 8 * MIB) as reader:
            reader.expect(identity_of("0"))
            assert not reader.expect(identity_of(f"{2 * MIB + 1}"))
            assert not list(reader._buffer)

    run(main)


# --- counting ----------------------------------------------------------------------------------------------


def test_every_read_that_ends_in_an_error_is_counted_once() -> None:
    key = pack(5000)

    async def main() -> None:
        async with reading(FakeBucket(lambda key: altered(content(key)))) as reader:
            for count in (1, 2):
                with pytest.raises(WrongContent):
                    await reader.read(reader.of(key), 0, 1)
                assert reader.counters.failed == count
            assert reader.counters.missed == 0

    run(main)


def test_without_memory_nothing_stays() -> None:
    async def main() -> None:
        async with reading(FakeBucket(content), limit=0) as reader:
            for offset in (0, BLOCK // 2, 3 * BLOCK):
                assert bytes(await reader.read(reader.of(f"{MIB}"), offset, BLOCK)) == DATA[offset:][:BLOCK]
                await settled()
                assert reader.memory == 0

    run(main)


def test_what_came_from_disk_is_not_wasted() -> None:
    key, disk = pack(MIB), Memory()

    async def main() -> None:
        async with reading(FakeBucket(content), disk=disk) as reader:
            await reader.all(key)
        async with reading(FakeBucket(content), disk=disk) as reader:
            assert reader.expect(identity_of(key))
            while reader.running:
                await trio.sleep(0.01)
            assert reader.memory == MIB
            assert reader.unread == 0
            reader.not_expected(identity_of(key))
            assert reader.counters.wasted == 0

    run(main)


def test_a_mount_that_ends_while_the_disk_is_slow_leaves_it_alone() -> None:
    class Slow(Memory):
        go = threading.Event()

        def write(self, identity: ObjectId, start: int, data: memoryview, *, proven: bool) -> None:
            self.go.wait(30)

    async def main() -> None:
        async with reading(FakeBucket(content), disk=Slow()) as reader:
            assert await reader.all("5000") == DATA[:5000]
            await settled()
            reader._nursery.cancel_scope.cancel()
        Slow.go.set()

    run(main)
