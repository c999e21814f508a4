"""The disk cache: a read returns exactly what was written, or nothing."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.buffer_pool import LARGE as LARGE_PAGE
from rwmfs.cache import BLOCK
from rwmfs.cache.store import DiskCache
from rwmfs.object_id import ObjectId
from tests.unit.blocks import BUCKET, MIB, SERVER, content, disk_cache, file_of, holds, put, used, version

LARGE = version(1, 3 * BLOCK + 1000)


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return disk_cache(tmp_path)


# --- reading and writing -----------------------------------------------------------------------------


def test_any_written_range_can_be_read(cache: DiskCache) -> None:
    assert not holds(cache, LARGE)
    put(cache, LARGE, BLOCK, 3 * BLOCK)
    assert holds(cache, LARGE, BLOCK, 3 * BLOCK)
    assert holds(cache, LARGE, BLOCK + 7, 2 * BLOCK + 9)
    assert not holds(cache, LARGE, BLOCK - 1, BLOCK + 1)
    assert not holds(cache, LARGE, 3 * BLOCK)
    put(cache, LARGE, 3 * BLOCK)
    assert holds(cache, LARGE, BLOCK)


def test_large_ranges_use_direct_io_and_the_given_buffers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = ObjectId("data/aa/large", "v1", LARGE_PAGE + 5, "etag")
    buffers, seen = [bytearray(version.size)], list[int]()

    def record(descriptor: int, part: memoryview, offset: int) -> None:
        seen.append(len(part))

    cache = DiskCache(tmp_path, 8 * version.size, SERVER, BUCKET, lambda size: buffers.pop()[:size])
    monkeypatch.setattr(cache._direct_io, "write_all", record)
    cache.write(version, 0, bytes(version.size))
    assert seen == [version.size]
    monkeypatch.setattr(cache._direct_io, "read_into", record)
    assert cache.read(version, 0, version.size) is not None, "zeros, like the buffer"
    assert seen == [version.size] * 2
    assert not buffers


@pytest.mark.parametrize("verified", [True, False])
def test_the_verified_flag_is_stored(verified: bool, cache: DiskCache) -> None:
    cache.write(LARGE, 0, content(LARGE), verified=verified)
    found = cache.read(LARGE, 0, BLOCK)
    assert found is not None
    assert found.data == content(LARGE)[:BLOCK]
    assert found.verified is verified


def test_a_later_mount_reads_what_an_earlier_one_wrote(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    cache.close()
    assert not holds(cache, LARGE)
    assert holds(disk_cache(tmp_path), LARGE)


def test_a_closed_cache_writes_nothing(tmp_path: Path, cache: DiskCache) -> None:
    cache.close()
    put(cache, LARGE)
    assert used(tmp_path) == 0


@pytest.mark.parametrize("field", ["key", "version_id", "etag", "size"])
def test_another_version_is_a_miss(cache: DiskCache, field: str) -> None:
    put(cache, LARGE)
    value = LARGE.size + 1 if field == "size" else "other"
    assert cache.read(LARGE._replace(**{field: value}), 0, BLOCK) is None  # type: ignore[arg-type]


def test_an_equal_key_on_another_server_or_in_another_bucket_is_a_miss(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    assert DiskCache(tmp_path, MIB, SERVER, BUCKET).read(LARGE, 0, BLOCK) is not None
    assert DiskCache(tmp_path, MIB, SERVER + "s", BUCKET).read(LARGE, 0, BLOCK) is None
    assert DiskCache(tmp_path, MIB, SERVER, BUCKET + "s").read(LARGE, 0, BLOCK) is None


def test_a_dropped_object_is_a_miss_for_all_caches(tmp_path: Path, cache: DiskCache) -> None:
    other = disk_cache(tmp_path)
    put(other, LARGE)
    put(other, version(2))
    cache.drop(LARGE)
    cache.drop(LARGE)
    assert not holds(other, LARGE)
    assert holds(other, version(2))


def test_a_damaged_block_is_a_miss_until_it_is_written_again(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    with file_of(tmp_path, LARGE).open("r+b") as file:
        file.seek(4096 + BLOCK + 5)
        file.write(bytes([content(LARGE)[BLOCK + 5] ^ 1]))
    assert not holds(cache, LARGE)
    assert holds(cache, LARGE, 0, BLOCK) and holds(cache, LARGE, 2 * BLOCK)
    with file_of(tmp_path, LARGE).open("r+b") as file:  # repaired, but the record is gone
        file.seek(4096 + BLOCK + 5)
        file.write(content(LARGE)[BLOCK + 5 : BLOCK + 6])
    assert not holds(cache, LARGE, BLOCK, 2 * BLOCK)
    put(cache, LARGE, BLOCK, 2 * BLOCK)
    assert holds(cache, LARGE)


def test_a_file_truncated_during_a_read_is_a_miss(
    tmp_path: Path, cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, LARGE)
    preadv = os.preadv

    def cut_off(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        os.truncate(file_of(tmp_path, LARGE), 4096 + BLOCK // 2)
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", cut_off)
    assert not holds(cache, LARGE)


def test_files_are_private(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    for path in (tmp_path / "blocks").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_use_is_recorded_once_a_minute(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    path, now = file_of(tmp_path, LARGE), time.time()
    for before, is_recorded in ((now - 5, False), (now - 3600, True), (now + 3600, True)):
        os.utime(path, (before, before))
        assert holds(cache, LARGE)
        assert (abs(path.stat().st_mtime - before) > 1) == is_recorded
    os.utime(path, (1, 1))
    cache.read(version(9), 0, BLOCK)
    assert path.stat().st_mtime == 1


# --- against a model -----------------------------------------------------------------------------------

OBJECTS = [version(1, 1), version(2, BLOCK), LARGE]
PART = st.tuples(st.floats(0, 1), st.floats(0, 1))
STEP = st.tuples(st.sampled_from(["write", "write", "read", "flip", "cut", "drop", "evict", "again"]), PART)


def some_blocks(object: ObjectId, part: tuple[float, float]) -> tuple[int, int]:
    """Numbers of some blocks of the object, at least one: the first, and the last plus one."""
    total = -(-object.size // BLOCK)
    first = min(int(part[0] * total), total - 1)
    return first, first + 1 + int(part[1] * (total - first - 1))


def do(cache: DiskCache, directory: Path, object: ObjectId, step: str, part: tuple[float, float]) -> None:
    """Change the file of an object."""
    path = file_of(directory, object)
    if step == "drop":
        cache.drop(object)
    elif step == "evict":
        path.unlink(missing_ok=True)
    elif path.exists() and path.stat().st_size:
        data, offset = bytearray(path.read_bytes()), int(part[0] * (path.stat().st_size - 1))
        if step == "flip":
            data[offset] ^= 1 + int(part[1] * 254)
        else:
            del data[offset:]
        path.write_bytes(data)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OBJECTS), STEP), max_size=25))
def test_a_read_returns_the_right_bytes_or_none(
    steps: list[tuple[ObjectId, tuple[str, tuple[float, float]]]],
) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        cache = disk_cache(directory)
        sure: dict[ObjectId, set[int]] = {object: set() for object in OBJECTS}  # written and unchanged since
        unsure: dict[ObjectId, set[int]] = {object: set() for object in OBJECTS}
        for object, (step, part) in steps:
            first, stop = some_blocks(object, part)
            start, end = first * BLOCK, min(stop * BLOCK, object.size)
            if step == "write":
                put(cache, object, start, end)
                sure[object] |= {*range(first, stop)}
            elif step == "read":
                is_stored = holds(cache, object, start, end)
                assert is_stored or not {*range(first, stop)} <= sure[object]
                assert not is_stored or {*range(first, stop)} <= sure[object] | unsure[object]
            elif step == "again":
                cache = disk_cache(directory)
            else:
                do(cache, directory, object, step, part)
                unsure[object] = unsure[object] | sure[object] if step in ("flip", "cut") else set()
                sure[object] = set()


# --- threads -------------------------------------------------------------------------------------------


def test_many_threads_at_once(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, 2 * MIB)
    objects = [version(number, BLOCK * (1 + number % 4) - number) for number in range(20)]
    failures: list[BaseException] = []
    hits = []

    def work(seed: int) -> None:
        try:
            for turn in range(60):
                object = objects[(seed * 7 + turn * (seed + 1)) % len(objects)]
                if holds(cache, object):
                    hits.append(object)
                elif turn % 9 == 8:
                    cache.drop(object)
                else:
                    put(cache, object)
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert hits
    put(cache, objects[0])
    assert used(tmp_path) <= 2 * MIB + 8 * 5 * BLOCK
