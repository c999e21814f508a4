"""The disk cache: exactly what was written or nothing, bounded, and shared by all mounts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwmfs.buffer_pool import LARGE as LARGE_PAGE
from rwmfs.cache import directory as cachedir
from rwmfs.cache import store as diskcache
from rwmfs.cache.block_file import BLOCK
from rwmfs.cache.store import DiskCache
from rwmfs.object_id import ObjectId
from tests.unit.blocks import BUCKET, MIB, SERVER, content, disk_cache, file_of, holds, put, used, version

LARGE = version(1, 3 * BLOCK + 1000)


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return disk_cache(tmp_path)


# --- reading and writing -----------------------------------------------------------------------------


def test_what_was_written_is_read_in_any_cut(cache: DiskCache) -> None:
    assert not holds(cache, LARGE)
    put(cache, LARGE, BLOCK, 3 * BLOCK)
    assert holds(cache, LARGE, BLOCK, 3 * BLOCK)
    assert holds(cache, LARGE, BLOCK + 7, 2 * BLOCK + 9)
    assert not holds(cache, LARGE, BLOCK - 1, BLOCK + 1)
    assert not holds(cache, LARGE, 3 * BLOCK)
    put(cache, LARGE, 3 * BLOCK)
    assert holds(cache, LARGE, BLOCK)


def test_large_parts_go_past_the_page_cache_into_room_of_the_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ObjectId("data/aa/large", "v1", LARGE_PAGE + 5, "etag")
    rooms, seen = [bytearray(version.size)], list[int]()

    def seeing(descriptor: int, part: memoryview, offset: int) -> None:
        seen.append(len(part))

    cache = DiskCache(tmp_path, 8 * version.size, SERVER, BUCKET, lambda size: rooms.pop()[:size])
    monkeypatch.setattr(cache._disk, "put", seeing)
    cache.write(version, 0, bytes(version.size))
    assert seen == [version.size]
    monkeypatch.setattr(cache._disk, "fill", seeing)
    assert cache.read(version, 0, version.size) is not None, "zeros, as that room is"
    assert seen == [version.size] * 2
    assert not rooms


@pytest.mark.parametrize("proven", [True, False])
def test_what_was_proven_is_known_to_be(proven: bool, cache: DiskCache) -> None:
    cache.write(LARGE, 0, content(LARGE), proven=proven)
    kept = cache.read(LARGE, 0, BLOCK)
    assert kept is not None
    assert kept.data == content(LARGE)[:BLOCK]
    assert kept.proven is proven


def test_the_next_mount_finds_what_the_last_one_kept(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    cache.close()
    assert not holds(cache, LARGE)
    assert holds(disk_cache(tmp_path), LARGE)


def test_nothing_is_kept_after_the_end(tmp_path: Path, cache: DiskCache) -> None:
    cache.close()
    put(cache, LARGE)
    assert used(tmp_path) == 0


@pytest.mark.parametrize("field", ["key", "version_id", "etag", "size"])
def test_another_version_is_another_object(cache: DiskCache, field: str) -> None:
    put(cache, LARGE)
    value = LARGE.size + 1 if field == "size" else "other"
    assert cache.read(LARGE._replace(**{field: value}), 0, BLOCK) is None  # type: ignore[arg-type]


def test_equal_names_on_another_server_or_in_another_bucket_are_other_objects(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    assert DiskCache(tmp_path, MIB, SERVER, BUCKET).read(LARGE, 0, BLOCK) is not None
    assert DiskCache(tmp_path, MIB, SERVER + "s", BUCKET).read(LARGE, 0, BLOCK) is None
    assert DiskCache(tmp_path, MIB, SERVER, BUCKET + "s").read(LARGE, 0, BLOCK) is None


def test_what_was_dropped_is_gone_for_all(tmp_path: Path, cache: DiskCache) -> None:
    other = disk_cache(tmp_path)
    put(other, LARGE)
    put(other, version(2))
    cache.drop(LARGE)
    cache.drop(LARGE)
    assert not holds(other, LARGE)
    assert holds(other, version(2))


def test_a_damaged_grain_is_a_miss_until_it_is_written_again(tmp_path: Path, cache: DiskCache) -> None:
    put(cache, LARGE)
    with file_of(tmp_path, LARGE).open("r+b") as file:
        file.seek(4096 + BLOCK + 5)
        file.write(bytes([content(LARGE)[BLOCK + 5] ^ 1]))
    assert not holds(cache, LARGE)
    assert holds(cache, LARGE, 0, BLOCK) and holds(cache, LARGE, 2 * BLOCK)
    with file_of(tmp_path, LARGE).open("r+b") as file:  # undone, but it is forgotten
        file.seek(4096 + BLOCK + 5)
        file.write(content(LARGE)[BLOCK + 5 : BLOCK + 6])
    assert not holds(cache, LARGE, BLOCK, 2 * BLOCK)
    put(cache, LARGE, BLOCK, 2 * BLOCK)
    assert holds(cache, LARGE)


def test_a_file_that_is_cut_off_while_it_is_read_is_a_miss(
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


# --- against a model -----------------------------------------------------------------------------------

OBJECTS = [version(1, 1), version(2, BLOCK), LARGE]
PART = st.tuples(st.floats(0, 1), st.floats(0, 1))
STEP = st.tuples(st.sampled_from(["write", "write", "read", "flip", "cut", "drop", "evict", "again"]), PART)


def grains(object: ObjectId, part: tuple[float, float]) -> tuple[int, int]:
    """Some grains of the object, at least one: the first and the one behind the last."""
    total = -(-object.size // BLOCK)
    first = min(int(part[0] * total), total - 1)
    return first, first + 1 + int(part[1] * (total - first - 1))


def do(cache: DiskCache, directory: Path, object: ObjectId, step: str, part: tuple[float, float]) -> None:
    """What can happen to the file of an object."""
    path = file_of(directory, object)
    if step == "drop":
        cache.drop(object)
    elif step == "evict":
        path.unlink(missing_ok=True)
    elif path.exists() and path.stat().st_size:
        data, place = bytearray(path.read_bytes()), int(part[0] * (path.stat().st_size - 1))
        if step == "flip":
            data[place] ^= 1 + int(part[1] * 254)
        else:
            del data[place:]
        path.write_bytes(data)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OBJECTS), STEP), max_size=25))
def test_a_read_gives_the_true_bytes_or_none_whatever_happens(
    steps: list[tuple[ObjectId, tuple[str, tuple[float, float]]]],
) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        cache = disk_cache(directory)
        sure: dict[ObjectId, set[int]] = {object: set() for object in OBJECTS}  # written, and nothing happened since
        unsure: dict[ObjectId, set[int]] = {object: set() for object in OBJECTS}
        for object, (step, part) in steps:
            first, stop = grains(object, part)
            start, end = first * BLOCK, min(stop * BLOCK, object.size)
            if step == "write":
                put(cache, object, start, end)
                sure[object] |= {*range(first, stop)}
            elif step == "read":
                is_held = holds(cache, object, start, end)
                assert is_held or not {*range(first, stop)} <= sure[object]
                assert not is_held or {*range(first, stop)} <= sure[object] | unsure[object]
            elif step == "again":
                cache = disk_cache(directory)
            else:
                do(cache, directory, object, step, part)
                unsure[object] = unsure[object] | sure[object] if step in ("flip", "cut") else set()
                sure[object] = set()


# --- the bound -----------------------------------------------------------------------------------------


def counted_scans(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A list that grows by one each time the directory is looked at."""
    scans: list[Path] = []
    scan = cachedir.scan

    def counted(blocks: Path) -> Iterator[cachedir.CacheFile]:
        scans.append(blocks)
        return scan(blocks)

    monkeypatch.setattr(cachedir, "scan", counted)
    return scans


def test_the_limit_holds_after_every_write(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, MIB)
    for number in range(60):
        put(cache, version(number, 1 + number * 5000 % (MIB // 4)))
        assert used(tmp_path) <= MIB
    assert used(tmp_path) > MIB // 2
    assert holds(cache, version(59, 1 + 59 * 5000 % (MIB // 4)))


def test_a_mount_that_begins_counts_what_others_left(tmp_path: Path) -> None:
    """Many short mounts keep the limit too, and a limit that was lowered is kept from the first write on."""
    for number in range(40):
        put(disk_cache(tmp_path, MIB), version(number))
        assert used(tmp_path) <= MIB
    put(disk_cache(tmp_path, MIB // 2), version(50))
    assert used(tmp_path) <= MIB // 2


def test_the_least_recently_used_object_leaves_first(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, MIB)
    for number in range(12):
        put(cache, version(number))
        os.utime(file_of(tmp_path, version(number)), (number, number))
    assert holds(cache, version(0))
    for number in range(12, 16):
        put(cache, version(number))
    assert holds(cache, version(0))
    assert not holds(cache, version(1))
    assert holds(cache, version(15))


def test_an_object_that_is_written_to_does_not_leave_for_it(tmp_path: Path) -> None:
    put(disk_cache(tmp_path, MIB), LARGE, 0, BLOCK)
    os.utime(file_of(tmp_path, LARGE), (1, 1))
    for number in range(10, 26):
        put(disk_cache(tmp_path), version(number))
    put(disk_cache(tmp_path, MIB), LARGE, BLOCK, 2 * BLOCK)
    assert holds(disk_cache(tmp_path), LARGE, 0, 2 * BLOCK)
    assert used(tmp_path) <= MIB and not all(holds(disk_cache(tmp_path), version(number)) for number in range(10, 26))


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


def test_of_a_large_object_a_quarter_of_the_limit_is_kept(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, 2 * MIB)
    large = version(1, 4 * MIB)
    put(cache, version(2))
    for start in range(0, large.size, BLOCK):
        put(cache, large, start, start + BLOCK)
    kept = [holds(cache, large, start, start + BLOCK) for start in range(0, large.size, BLOCK)]
    assert kept == [True] * 7 + [False] * 57
    assert holds(cache, version(2))


def test_an_object_that_does_not_fit_pushes_nothing_out(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, MIB)
    put(cache, version(2))
    put(cache, version(1, 2 * MIB))
    assert not holds(cache, version(1, 2 * MIB))
    assert holds(cache, version(2))


def test_without_a_limit_worth_the_name_nothing_is_kept(tmp_path: Path) -> None:
    for limit in (0, 1, 4096):
        put(disk_cache(tmp_path, limit), version(1, 1))
        assert not file_of(tmp_path, version(1, 1)).exists()


def test_the_directory_is_looked_at_once_for_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = counted_scans(monkeypatch)
    cache = disk_cache(tmp_path, 64 * MIB)
    for number in range(100):
        put(cache, version(number))
    written = 100 * (BLOCK + 4096)
    assert len(scans) == 1 + written // (4 * MIB)
    assert diskcache.STEP == 64 * MIB


def test_only_one_at_a_time_makes_room_and_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, other = disk_cache(tmp_path, MIB), disk_cache(tmp_path, MIB)
    scans = []
    scan = cachedir.scan

    def slow(blocks: Path) -> list[cachedir.CacheFile]:
        scans.append(blocks)
        if len(scans) == 1:
            for number in range(10, 20):
                put(other, version(number))
        return list(scan(blocks))

    monkeypatch.setattr(cachedir, "scan", slow)
    put(cache, version(0))
    assert len(scans) == 1
    assert all(holds(other, version(number)) for number in (0, *range(10, 20)))
    put(other, version(20))
    assert len(scans) == 2


def test_who_comes_when_room_was_just_made_does_not_look_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = disk_cache(tmp_path, MIB)
    alone, scans = diskcache._alone, counted_scans(monkeypatch)

    def come_late(path: Path) -> AbstractContextManager[bool]:
        with monkeypatch.context() as patch:
            patch.setattr(diskcache, "_alone", alone)
            put(cache, version(1, 1))
        return alone(path)

    monkeypatch.setattr(diskcache, "_alone", come_late)
    put(cache, version(0, 1))
    assert len(scans) == 1


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
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to tell
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
