"""A disk that is full, read-only, gone or tampered with costs speed and nothing else."""

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
from rwmfs.cache import block_file as cachefile
from rwmfs.cache import directory as cachedir
from rwmfs.cache import store as diskcache
from rwmfs.cache.block_file import BLOCK, Identity
from rwmfs.cache.store import DiskCache, free_to_leave
from tests.unit.blocks import MIB, disk_cache, file_of, holds, put, used, version

Mount = Callable[[str], Path]


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Mount]:
    """Mount a file system of its own; the argument is its options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
        return place

    yield mount
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The warnings so far."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def no_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system may be filled to the last byte, and even then it is tried."""
    monkeypatch.setattr(diskcache, "free_to_leave", lambda total: -total)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)


# --- no room -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_reserve")
@pytest.mark.parametrize("options", ["size=1m,mode=700", "size=100m,nr_inodes=20,mode=700"])
def test_a_full_disk_is_said_once_and_what_is_kept_is_read_on(
    tmpfs: Mount, warnings: Callable[[], list[str]], options: str
) -> None:
    cache = disk_cache(tmpfs(options) / "cache")
    for number in range(30):
        put(cache, version(number))
    assert warnings() == [f"disk cache {cache.directory}: nothing is kept for now: No space left on device"]
    kept = [number for number in range(30) if holds(cache, version(number))]
    assert kept == [*range(len(kept))] and 5 < len(kept) < 20


@pytest.mark.usefixtures("no_reserve")
def test_when_there_is_room_again_it_goes_on_after_a_while(
    tmpfs: Mount, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = disk_cache(tmpfs("size=1m,mode=700") / "cache")
    filler = cache.directory / "filler"
    for turn in range(2):
        monkeypatch.setattr(diskcache, "PAUSE", 3600.0)
        filler.write_bytes(bytes(MIB - 100 * 1024))
        put(cache, version(1, 2 * BLOCK))
        assert len(warnings()) == turn + 1
        filler.unlink()
        put(cache, version(2))
        assert not holds(cache, version(2))
        cache._resume_at = 0  # as if an hour had passed
        put(cache, version(2))
        assert holds(cache, version(2))
        cache.drop(version(2))


def test_some_of_the_file_system_stays_free(tmpfs: Mount, warnings: Callable[[], list[str]]) -> None:
    place = tmpfs("size=260m,mode=700")
    cache = disk_cache(place / "cache")
    for number in range(80):
        put(cache, version(number))
    system = os.statvfs(place)
    assert 256 * MIB <= system.f_bavail * system.f_frsize < 257 * MIB
    assert holds(cache, version(0)) and not holds(cache, version(79))
    assert len(warnings()) == 1 and "hardly any room" in warnings()[0]


def test_a_large_file_system_keeps_two_hundredths_free() -> None:
    assert free_to_leave(MIB) == 256 * MIB
    assert free_to_leave(10**12) == 2 * 10**10


def test_a_full_disk_does_not_keep_a_mount_from_beginning(tmpfs: Mount, warnings: Callable[[], list[str]]) -> None:
    place = tmpfs("size=1m,nr_inodes=1,mode=700")
    cache = disk_cache(place / "cache")
    put(cache, version(1))
    assert not holds(cache, version(1))
    assert len(warnings()) == 1 and "No space left" in warnings()[0]


# --- read-only and broken disks ------------------------------------------------------------------------


def test_a_disk_that_becomes_read_only_is_read_on(tmpfs: Mount, warnings: Callable[[], list[str]]) -> None:
    place = tmpfs("size=300m,mode=700")
    cache = disk_cache(place / "cache")
    put(cache, version(1))
    put(cache, version(2, 2 * BLOCK))
    os.utime(file_of(cache.directory, version(1)), (1, 1))
    with file_of(cache.directory, version(2, 2 * BLOCK)).open("r+b") as file:
        file.truncate(4096 + BLOCK)
    with read_only(place):
        for _ in range(2):
            assert holds(cache, version(1))
            assert not holds(cache, version(2, 2 * BLOCK))
        cache.drop(version(1))
        put(cache, version(3))
        put(cache, version(4))
        assert len(warnings()) == 1 and "Read-only" in warnings()[0]
        assert holds(disk_cache(cache.directory), version(1))
        put(disk_cache(place / "new"), version(1))
        assert len(warnings()) == 2


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_fails_is_left_alone_for_a_while(
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


def test_one_success_beside_a_failure_does_not_make_it_news(
    tmp_path: Path, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads are under way with other writes when the disk gets full."""
    cache = disk_cache(tmp_path)
    write = cachefile.write

    def fails_beside_one_that_ends_well(
        descriptor: int, identity: Identity, start: int, data: memoryview, **how: Any
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(cachefile, "write", full)
            put(cache, version(2))
        write(descriptor, identity, start, data, **how)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(cachefile, "write", fails_beside_one_that_ends_well)
    for _ in range(3):
        put(cache, version(1))
    cache._pause(OSError(errno.ENOSPC, "full"))
    assert holds(cache, version(1))
    assert len(warnings()) == 1


def test_without_descriptors_it_is_a_miss_and_no_reason_to_stop(
    tmp_path: Path, warnings: Callable[[], list[str]]
) -> None:
    cache = disk_cache(tmp_path)
    put(cache, version(1))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        is_held = holds(cache, version(1))
        put(cache, version(2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not is_held
    assert holds(cache, version(1)) and not holds(cache, version(2))
    put(cache, version(2))
    assert holds(cache, version(2))
    assert warnings() == []


# --- a directory that is not what it was ---------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "blocks", "shard"])
def test_a_directory_that_was_removed_is_made_again(
    tmp_path: Path, warnings: Callable[[], list[str]], what: str
) -> None:
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


def test_a_directory_that_vanishes_during_a_write_is_no_error(
    tmp_path: Path, warnings: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = disk_cache(tmp_path / "cache")
    make, scan = cachedir.make_shard, cachedir.scan

    def make_and_vanish(blocks: Path, name: str) -> None:
        make(blocks, name)
        shutil.rmtree(cache.directory)

    def vanish_and_scan(blocks: Path) -> Iterator[cachedir.CacheFile]:
        shutil.rmtree(cache.directory)
        return scan(blocks)

    with monkeypatch.context() as patch:
        patch.setattr(cachedir, "make_shard", make_and_vanish)
        put(cache, version(1))
    with monkeypatch.context() as patch:
        patch.setattr(cachedir, "scan", vanish_and_scan)
        put(cache, version(1))
    assert not holds(cache, version(1))
    put(cache, version(1))
    assert holds(cache, version(1))
    assert warnings() == []


@pytest.mark.parametrize("what", ["cache", "cache/blocks"])
def test_a_directory_that_became_a_link_is_not_made_use_of(
    tmp_path: Path, warnings: Callable[[], list[str]], what: str
) -> None:
    cache = disk_cache(tmp_path / "cache")
    (tmp_path / what).rename(tmp_path / "moved")
    (tmp_path / what).symlink_to(tmp_path / "moved")
    before = sorted((tmp_path / "moved").rglob("*"))
    put(cache, version(1))
    assert sorted((tmp_path / "moved").rglob("*")) == before
    assert len(warnings()) == 1 and "symbolic link" in warnings()[0]


def test_no_link_in_the_directory_is_followed(tmp_path: Path) -> None:
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


def test_a_directory_that_others_may_write_to_fails_the_mount(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(ConfigError, match="can be written to by others"):
        DiskCache(tmp_path / "cache", MIB, "", "")


@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "fifo", "theirs"])
def test_what_lies_where_a_file_should_be_is_left_as_it_is(
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


def test_a_file_that_leaves_while_it_is_written_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = disk_cache(tmp_path)
    write = cachefile.write

    def leave_and_write(descriptor: int, identity: Identity, start: int, data: memoryview, **how: Any) -> None:
        cache.drop(version(1))
        write(descriptor, identity, start, data, **how)

    with monkeypatch.context() as patch:
        patch.setattr(cachefile, "write", leave_and_write)
        put(cache, version(1))
    assert not holds(cache, version(1))
    assert used(tmp_path) == 0
    put(cache, version(1))
    assert holds(cache, version(1))


def test_a_file_that_leaves_while_it_is_read_is_read_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = disk_cache(tmp_path)
    put(cache, version(1))
    preadv = os.preadv

    def leave_and_read(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        cache.drop(version(1))
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", leave_and_read)
    assert holds(cache, version(1))
    assert not holds(cache, version(1))
