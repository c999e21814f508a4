"""The disk space of the cache: within the limit, the least recently used object evicted first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from rwmfs.cache import BLOCK, space
from rwmfs.cache import directory as cache_directory
from rwmfs.cache.space import reserved_space
from tests.unit.blocks import MIB, disk_cache, file_of, holds, put, used, version

LARGE = version(1, 3 * BLOCK + 1000)


def test_the_reserve_is_256_mib_or_2_percent() -> None:
    assert reserved_space(MIB) == 256 * MIB
    assert reserved_space(10**12) == 2 * 10**10


def counted_scans(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A list that grows by one with each scan of the directory."""
    scans: list[Path] = []
    scan = cache_directory.scan

    def counted(blocks: Path) -> Iterator[cache_directory.CacheFile]:
        scans.append(blocks)
        return scan(blocks)

    monkeypatch.setattr(cache_directory, "scan", counted)
    return scans


def test_the_limit_holds_after_every_write(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, MIB)
    for number in range(60):
        put(cache, version(number, 1 + number * 5000 % (MIB // 4)))
        assert used(tmp_path) <= MIB
    assert used(tmp_path) > MIB // 2
    assert holds(cache, version(59, 1 + 59 * 5000 % (MIB // 4)))


def test_a_new_process_counts_existing_files(tmp_path: Path) -> None:
    """Many short-lived mounts keep the limit too; a lower limit holds from the first write on."""
    for number in range(40):
        put(disk_cache(tmp_path, MIB), version(number))
        assert used(tmp_path) <= MIB
    put(disk_cache(tmp_path, MIB // 2), version(50))
    assert used(tmp_path) <= MIB // 2


def test_the_least_recently_used_object_is_evicted_first(tmp_path: Path) -> None:
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


def test_a_write_does_not_evict_its_own_object(tmp_path: Path) -> None:
    put(disk_cache(tmp_path, MIB), LARGE, 0, BLOCK)
    os.utime(file_of(tmp_path, LARGE), (1, 1))
    for number in range(10, 26):
        put(disk_cache(tmp_path), version(number))
    put(disk_cache(tmp_path, MIB), LARGE, BLOCK, 2 * BLOCK)
    assert holds(disk_cache(tmp_path), LARGE, 0, 2 * BLOCK)
    assert used(tmp_path) <= MIB and not all(holds(disk_cache(tmp_path), version(number)) for number in range(10, 26))


def test_one_object_takes_at_most_a_quarter_of_the_limit(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, 2 * MIB)
    large = version(1, 4 * MIB)
    put(cache, version(2))
    for start in range(0, large.size, BLOCK):
        put(cache, large, start, start + BLOCK)
    is_stored = [holds(cache, large, start, start + BLOCK) for start in range(0, large.size, BLOCK)]
    assert is_stored == [True] * 7 + [False] * 57
    assert holds(cache, version(2))


def test_an_object_that_does_not_fit_evicts_nothing(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path, MIB)
    put(cache, version(2))
    put(cache, version(1, 2 * MIB))
    assert not holds(cache, version(1, 2 * MIB))
    assert holds(cache, version(2))


def test_a_tiny_limit_stores_nothing(tmp_path: Path) -> None:
    for limit in (0, 1, 4096):
        put(disk_cache(tmp_path, limit), version(1, 1))
        assert not file_of(tmp_path, version(1, 1)).exists()


def test_the_directory_is_scanned_once_for_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = counted_scans(monkeypatch)
    cache = disk_cache(tmp_path, 64 * MIB)
    for number in range(100):
        put(cache, version(number))
    written = 100 * (BLOCK + 4096)
    assert len(scans) == 1 + written // (4 * MIB)
    assert space.MAX_STEP == 64 * MIB


def test_one_process_evicts_while_others_write_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, other = disk_cache(tmp_path, MIB), disk_cache(tmp_path, MIB)
    scans = []
    scan = cache_directory.scan

    def slow(blocks: Path) -> list[cache_directory.CacheFile]:
        scans.append(blocks)
        if len(scans) == 1:
            for number in range(10, 20):
                put(other, version(number))
        return list(scan(blocks))

    monkeypatch.setattr(cache_directory, "scan", slow)
    put(cache, version(0))
    assert len(scans) == 1
    assert all(holds(other, version(number)) for number in (0, *range(10, 20)))
    put(other, version(20))
    assert len(scans) == 2


def test_a_scan_is_skipped_if_another_thread_has_just_finished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = disk_cache(tmp_path, MIB)
    try_lock, scans = space._try_lock, counted_scans(monkeypatch)

    def late_try_lock(path: Path) -> AbstractContextManager[bool]:
        with monkeypatch.context() as patch:
            patch.setattr(space, "_try_lock", try_lock)
            put(cache, version(1, 1))
        return try_lock(path)

    monkeypatch.setattr(space, "_try_lock", late_try_lock)
    put(cache, version(0, 1))
    assert len(scans) == 1
