"""A disk that is full, read-only, removed or tampered with makes reads misses and suspends writes."""

from __future__ import annotations

import errno
import logging
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rwm.errors import ConfigError
from rwmfs.cache import block_file, space
from rwmfs.cache import directory as cache_directory
from rwmfs.cache import store as store_module
from rwmfs.cache.block_file import FileLayout
from rwmfs.cache.interface import BLOCK
from rwmfs.cache.store import DiskCache
from tests.unit.blocks import MIB, disk_cache, file_of, holds, put, used, version

Mount = Callable[[str], Path]


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Mount]:
    """Mount a file system of its own; the argument is its options."""
    mountpoint = tmp_path / "disk"
    mountpoint.mkdir()

    def mount(options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", mountpoint], check=True)
        return mountpoint

    yield mount
    subprocess.run(["umount", "--lazy", mountpoint], check=True)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The warnings so far."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def no_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache fill the file system to the last byte."""
    monkeypatch.setattr(space, "reserved_space", lambda total: -total)


@contextmanager
def read_only(mountpoint: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", mountpoint], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", mountpoint], check=True)


# --- full disks -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_reserve")
@pytest.mark.parametrize("options", ["size=1m,mode=700", "size=100m,nr_inodes=20,mode=700"])
def test_a_full_disk_is_logged_once_and_stays_readable(
    tmpfs: Mount, warnings: Callable[[], list[str]], options: str
) -> None:
    cache = disk_cache(tmpfs(options) / "cache")
    for number in range(30):
        put(cache, version(number))
    assert warnings() == [f"disk cache {cache.directory}: writes are suspended: No space left on device"]
    stored = [number for number in range(30) if holds(cache, version(number))]
    assert stored == [*range(len(stored))] and 5 < len(stored) < 20


@pytest.mark.usefixtures("no_reserve")
def test_writes_resume_after_the_suspension(
    tmpfs: Mount, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = disk_cache(tmpfs("size=1m,mode=700") / "cache")
    filler = cache.directory / "filler"
    for turn in range(2):
        monkeypatch.setattr(store_module, "SUSPEND", 3600.0)
        filler.write_bytes(bytes(MIB - 100 * 1024))
        put(cache, version(1, 2 * BLOCK))
        assert len(warnings()) == turn + 1
        filler.unlink()
        put(cache, version(2))
        assert not holds(cache, version(2))
        cache._resume_at = 0  # an hour later
        put(cache, version(2))
        assert holds(cache, version(2))
        cache.drop(version(2))


def test_a_part_of_the_file_system_stays_free(tmpfs: Mount, warnings: Callable[[], list[str]]) -> None:
    mountpoint = tmpfs("size=260m,mode=700")
    cache = disk_cache(mountpoint / "cache")
    for number in range(80):
        put(cache, version(number))
    system = os.statvfs(mountpoint)
    assert 256 * MIB <= system.f_bavail * system.f_frsize < 257 * MIB
    assert holds(cache, version(0)) and not holds(cache, version(79))
    assert len(warnings()) == 1 and "almost full" in warnings()[0]


def test_a_full_disk_does_not_fail_the_mount(tmpfs: Mount, warnings: Callable[[], list[str]]) -> None:
    mountpoint = tmpfs("size=1m,nr_inodes=1,mode=700")
    cache = disk_cache(mountpoint / "cache")
    put(cache, version(1))
    assert not holds(cache, version(1))
    assert len(warnings()) == 1 and "No space left" in warnings()[0]


# --- read-only and broken disks ------------------------------------------------------------------------


def test_a_disk_that_becomes_read_only_stays_readable(tmpfs: Mount, warnings: Callable[[], list[str]]) -> None:
    mountpoint = tmpfs("size=300m,mode=700")
    cache = disk_cache(mountpoint / "cache")
    put(cache, version(1))
    put(cache, version(2, 2 * BLOCK))
    os.utime(file_of(cache.directory, version(1)), (1, 1))
    with file_of(cache.directory, version(2, 2 * BLOCK)).open("r+b") as file:
        file.truncate(4096 + BLOCK)
    with read_only(mountpoint):
        for _ in range(2):
            assert holds(cache, version(1))
            assert not holds(cache, version(2, 2 * BLOCK))
        cache.drop(version(1))
        put(cache, version(3))
        put(cache, version(4))
        assert len(warnings()) == 1 and "Read-only" in warnings()[0]
        assert holds(disk_cache(cache.directory), version(1))
        put(disk_cache(mountpoint / "new"), version(1))
        assert len(warnings()) == 2


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT, errno.EACCES])
def test_a_disk_error_suspends_writes(
    tmp_path: Path, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    cache = disk_cache(tmp_path)
    put(cache, version(1))

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail)
        put(cache, version(2))
        put(cache, version(3))
        patch.setattr(os, "preadv", fail)
        assert not holds(cache, version(1))
    assert len(warnings()) == 1 and os.strerror(code) in warnings()[0]
    assert holds(cache, version(1))
    assert not file_of(tmp_path, version(3)).exists()


def test_a_concurrent_success_does_not_log_the_failure_again(
    tmp_path: Path, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other threads may still finish their writes when the disk gets full."""
    cache = disk_cache(tmp_path)
    write = block_file.write

    def fail_after_another_write_succeeded(
        descriptor: int, layout: FileLayout, start: int, data: memoryview, **how: Any
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(block_file, "write", full)
            put(cache, version(2))
        write(descriptor, layout, start, data, **how)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(block_file, "write", fail_after_another_write_succeeded)
    for _ in range(3):
        put(cache, version(1))
    cache._suspend_writes(OSError(errno.ENOSPC, "full"))
    assert holds(cache, version(1))
    assert len(warnings()) == 1


def test_running_out_of_descriptors_does_not_suspend_writes(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    cache = disk_cache(tmp_path)
    put(cache, version(1))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        is_stored = holds(cache, version(1))
        put(cache, version(2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not is_stored
    assert holds(cache, version(1)) and not holds(cache, version(2))
    put(cache, version(2))
    assert holds(cache, version(2))
    assert warnings() == []


# --- removed and replaced directories and files ---------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "blocks", "shard"])
def test_a_removed_directory_is_created_again(tmp_path: Path, warnings: Callable[[], list[str]], what: str) -> None:
    cache = disk_cache(tmp_path / "cache")
    put(cache, version(1))
    path = file_of(cache.directory, version(1)).parent if what == "shard" else cache.directory / what
    shutil.rmtree(path)
    assert not holds(cache, version(1))
    cache.drop(version(1))
    put(cache, version(1))
    assert holds(cache, version(1))
    assert cache.directory.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o700
    assert warnings() == []


def test_a_directory_removed_during_a_write_is_no_error(
    tmp_path: Path, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = disk_cache(tmp_path / "cache")
    make, scan = cache_directory.make_shard, cache_directory.scan

    def make_and_remove(blocks: Path, name: str) -> None:
        make(blocks, name)
        shutil.rmtree(cache.directory)

    def remove_and_scan(blocks: Path) -> Iterator[cache_directory.CacheFile]:
        shutil.rmtree(cache.directory)
        return scan(blocks)

    with monkeypatch.context() as patch:
        patch.setattr(cache_directory, "make_shard", make_and_remove)
        put(cache, version(1))
    with monkeypatch.context() as patch:
        patch.setattr(cache_directory, "scan", remove_and_scan)
        put(cache, version(1))
    assert not holds(cache, version(1))
    put(cache, version(1))
    assert holds(cache, version(1))
    assert warnings() == []


@pytest.mark.parametrize("what", ["cache", "cache/blocks"])
def test_a_directory_replaced_by_a_symbolic_link_is_not_used(
    tmp_path: Path, warnings: Callable[[], list[str]], what: str
) -> None:
    cache = disk_cache(tmp_path / "cache")
    (tmp_path / what).rename(tmp_path / "moved")
    (tmp_path / what).symlink_to(tmp_path / "moved")
    before = sorted((tmp_path / "moved").rglob("*"))
    put(cache, version(1))
    assert sorted((tmp_path / "moved").rglob("*")) == before
    assert len(warnings()) == 1 and "symbolic link" in warnings()[0]


def test_symbolic_links_in_the_directory_are_not_followed(tmp_path: Path) -> None:
    cache = disk_cache(tmp_path / "cache")
    put(cache, version(1, 2 * BLOCK), 0, BLOCK)
    shard = file_of(cache.directory, version(1, 2 * BLOCK)).parent
    for path in (shard, shard.parent):
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
        put(cache, version(1, 2 * BLOCK), BLOCK)
        cache.drop(version(1, 2 * BLOCK))
        assert not holds(cache, version(1, 2 * BLOCK), 0, BLOCK)
        path.unlink()
        (tmp_path / "moved").rename(path)
        assert holds(cache, version(1, 2 * BLOCK), 0, BLOCK) and not holds(cache, version(1, 2 * BLOCK), BLOCK)


def test_a_directory_writable_by_others_fails_the_mount(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(ConfigError, match="can be written to by others"):
        DiskCache(tmp_path / "cache", MIB, "", "")


@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "fifo", "theirs"])
def test_anything_in_place_of_a_block_file_is_left_alone(
    tmp_path: Path, warnings: Callable[[], list[str]], kind: str
) -> None:
    cache = disk_cache(tmp_path / "cache")
    put(cache, version(1))
    path, elsewhere = file_of(cache.directory, version(1)), tmp_path / "elsewhere"
    if kind == "theirs":
        os.chown(path, 12345, -1)
    else:
        path.rename(elsewhere)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nothing")
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    before = elsewhere.read_bytes() if elsewhere.exists() else b""
    for _ in range(2):
        assert not holds(cache, version(1))
        put(cache, version(1))
    assert not elsewhere.exists() or elsewhere.read_bytes() == before
    assert not (tmp_path / "nothing").exists()
    assert warnings() == []
    put(cache, version(2))
    assert holds(cache, version(2))


def test_a_file_removed_during_a_write_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = disk_cache(tmp_path)
    write = block_file.write

    def remove_and_write(descriptor: int, layout: FileLayout, start: int, data: memoryview, **how: Any) -> None:
        cache.drop(version(1))
        write(descriptor, layout, start, data, **how)

    with monkeypatch.context() as patch:
        patch.setattr(block_file, "write", remove_and_write)
        put(cache, version(1))
    assert not holds(cache, version(1))
    assert used(tmp_path) == 0
    put(cache, version(1))
    assert holds(cache, version(1))


def test_a_file_removed_during_a_read_is_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = disk_cache(tmp_path)
    put(cache, version(1))
    preadv = os.preadv

    def remove_and_read(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        cache.drop(version(1))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", remove_and_read)
    assert holds(cache, version(1))
    assert not holds(cache, version(1))
