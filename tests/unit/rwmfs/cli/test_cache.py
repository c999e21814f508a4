"""``rwmfs cache``: the size of the disk cache, and clearing it while mounts use it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rwmfs.cache import BLOCK
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


def test_info_prints_directory_limit_and_usage(rwm_: Terminal, full: Path) -> None:
    rwm_.configure("here", cache_dir=str(full), cache_size="1.5G")
    assert rwmfs(rwm_, "-c", "here.conf", "cache", "info", "--json") == 0
    expected = {"directory": str(full), "limit": 1536 * MIB, "used": used(full), "objects": 3}
    assert json.loads(rwm_.out) == expected
    assert rwmfs(rwm_, "cache", "-c", "here.conf", "info") == 0
    assert rwm_.out == f"directory  {full}\nlimit      1.5 GiB\nused       396.0 KiB, 3 objects\n"


def test_info_of_a_directory_that_does_not_exist_and_of_a_cache_that_is_off(rwm_: Terminal, home: Path) -> None:
    assert rwmfs(rwm_, "cache", "info", "--json") == 0
    expected = {"directory": str(home / ".cache/rwm"), "limit": 4096 * MIB, "used": 0, "objects": 0}
    assert json.loads(rwm_.out) == expected
    assert not (home / ".cache").exists()
    rwm_.configure("none", cache_size=0)
    assert rwmfs(rwm_, "cache", "info", "-c", "none.conf") == 0
    assert "limit      none, the cache is off" in rwm_.out


def test_cache_dir_overrides_the_configuration(rwm_: Terminal, full: Path) -> None:
    assert rwmfs(rwm_, "cache", "info", "--cache-dir", "cache", "--json") == 0
    assert json.loads(rwm_.out)["directory"] == str(full)
    assert json.loads(rwm_.out)["objects"] == 3


def test_clear_frees_everything_and_a_running_mount_continues(rwm_: Terminal, full: Path) -> None:
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


def test_clear_creates_no_directory(rwm_: Terminal, tmp_path: Path) -> None:
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "none") == 0
    assert rwm_.out == f"freed 0 B, 0 objects, in {tmp_path}/none\n"
    assert not (tmp_path / "none").exists()


def test_clear_removes_only_files_of_the_cache(rwm_: Terminal, full: Path) -> None:
    elsewhere = full.parent / "elsewhere"
    name = file_of(full, version(0)).name
    shard = full / "blocks" / name[:2]
    elsewhere.mkdir()
    (elsewhere / name).touch()
    shard.rename(full.parent / "moved")
    shard.symlink_to(elsewhere)
    foreign = [full / "own", full / "blocks" / "own", file_of(full, version(1, 2 * BLOCK)).with_name("own")]
    for path in foreign:
        path.write_text("mine")
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "cache", "--json") == 0
    assert json.loads(rwm_.out)["objects"] == 2
    assert all(path.read_text() == "mine" for path in foreign)
    assert (elsewhere / name).exists() and shard.is_symlink()


@pytest.mark.parametrize("command", ["info", "clear"])
def test_an_unsafe_directory_is_refused(rwm_: Terminal, full: Path, command: str) -> None:
    (full / "blocks").chmod(0o777)
    assert rwmfs(rwm_, "cache", command, "--cache-dir", "cache") == 2
    assert "can be written to by others (mode 0777)" in rwm_.err
    assert used(full) > 0
    (full.parent / "link").symlink_to(full)
    assert rwmfs(rwm_, "cache", command, "--cache-dir", "link") == 2
    assert "symbolic link" in rwm_.err


def test_an_oserror_is_one_line_on_stderr(rwm_: Terminal, full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "unlink", fail)
    assert rwmfs(rwm_, "cache", "clear", "--cache-dir", "cache") == 1
    assert rwm_.err == f"rwm: disk cache {full}: Input/output error\n"


def test_an_invalid_cache_size_is_reported(rwm_: Terminal) -> None:
    rwm_.configure("here", cache_size="much")
    assert rwmfs(rwm_, "cache", "info", "-c", "here.conf") == 2
    assert "'much' is not a size" in rwm_.err
