"""``rwmfs cache``: what the disk cache takes, and emptying it under mounts that go on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rwmfs.cache.block_file import BLOCK
from rwmfs.cli.main import cli
from tests.unit.blocks import MIB, disk_cache, file_of, holds, put, used, version
from tests.unit.terminal import Terminal


def rwmfs(terminal: Terminal, *words: str) -> int:
    return terminal(*words, command=cli)


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A disk cache with three objects."""
    cache = disk_cache(tmp_path / "cache")
    for number in range(3):
        put(cache, version(number, BLOCK * (number + 1)))
    return cache.directory


def test_info(rwm_: Terminal, full: Path) -> None:
    rwm_.configure("here", cache_dir=str(full), cache_size="1.5G")
    assert rwmfs(rwm_, "-c", "here.conf", "cache", "info", "--json") == 0
    expected = {"directory": str(full), "limit": 1536 * MIB, "used": used(full), "objects": 3}
    assert json.loads(rwm_.out) == expected
    assert rwmfs(rwm_, "cache", "-c", "here.conf", "info") == 0
    assert rwm_.out == f"directory  {full}\nlimit      1.5 GiB\nused       396.0 KiB, 3 objects\n"


def test_info_of_the_default_and_of_none(rwm_: Terminal, home: Path) -> None:
    assert rwmfs(rwm_, "cache", "info", "--json") == 0
    expected = {"directory": str(home / ".cache/rwm"), "limit": 4096 * MIB, "used": 0, "objects": 0}
    assert json.loads(rwm_.out) == expected
    assert not (home / ".cache").exists()
    rwm_.configure("none", cache_size=0)
    assert rwmfs(rwm_, "cache", "info", "-c", "none.conf") == 0
    assert "limit      none, the cache is off" in rwm_.out


def test_another_directory_may_be_named(rwm_: Terminal, full: Path) -> None:
    assert rwmfs(rwm_, "cache", "info", "--cache-dir", "cache", "--json") == 0
    assert json.loads(rwm_.out)["directory"] == str(full)
    assert json.loads(rwm_.out)["objects"] == 3


def test_clear_frees_all_and_a_mount_goes_on(rwm_: Terminal, full: Path) -> None:
    mount, taken = disk_cache(full), used(full)
    assert holds(mount, version(0))
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "cache", "--json") == 0
    assert json.loads(rwm_.out) == {"directory": str(full), "freed": taken, "objects": 3}
    assert used(full) == 0
    assert not holds(mount, version(0))
    put(mount, version(0))
    assert holds(mount, version(0))
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "cache") == 0
    assert rwm_.out == f"freed 68.0 KiB, 1 object, in {full}\n"


def test_clear_makes_nothing(rwm_: Terminal, tmp_path: Path) -> None:
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "none") == 0
    assert rwm_.out == f"freed 0 B, 0 objects, in {tmp_path}/none\n"
    assert not (tmp_path / "none").exists()


def test_clear_takes_nothing_that_is_not_the_caches(rwm_: Terminal, full: Path) -> None:
    elsewhere = full.parent / "elsewhere"
    name = file_of(full, version(0)).name
    shard = full / "blocks" / name[:2]
    elsewhere.mkdir()
    (elsewhere / name).touch()
    shard.rename(full.parent / "moved")
    shard.symlink_to(elsewhere)
    others = [full / "own", full / "blocks" / "own", file_of(full, version(1, 2 * BLOCK)).with_name("own")]
    for path in others:
        path.write_text("mine")
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "cache", "--json") == 0
    assert json.loads(rwm_.out)["objects"] == 2
    assert all(path.read_text() == "mine" for path in others)
    assert (elsewhere / name).exists() and shard.is_symlink()


@pytest.mark.parametrize("command", ["info", "clear"])
def test_a_directory_that_cannot_be_trusted_is_refused(rwm_: Terminal, full: Path, command: str) -> None:
    (full / "blocks").chmod(0o777)
    assert rwmfs(rwm_, "cache", command, "--cache-dir", "cache") == 2
    assert "can be written to by others (mode 0777)" in rwm_.err
    assert used(full) > 0
    (full.parent / "link").symlink_to(full)
    assert rwmfs(rwm_, "cache", command, "--cache-dir", "link") == 2
    assert "symbolic link" in rwm_.err


def test_an_error_of_the_system_is_one_line(rwm_: Terminal, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "unlink", fail)
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "cache") == 1
    assert rwm_.err == f"rwm: disk cache {full}: Input/output error\n"


def test_a_size_that_is_none_is_told(rwm_: Terminal) -> None:
    rwm_.configure("here", cache_size="much")
    assert rwmfs(rwm_, "cache", "info", "-c", "here.conf") == 2
    assert "'much' is not a size" in rwm_.err
