"""The directory of the disk cache: private, and other files are left alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import ConfigError
from rwmfs.cache import directory as cache_directory
from rwmfs.cache.directory import CacheFile
from tests.unit.descriptors import open_descriptors

NAME = "ab" + "0" * 62


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    """The blocks of a new cache, with the shard for NAME and no file."""
    blocks = cache_directory.prepare(tmp_path / "cache")
    cache_directory.make_shard(blocks, NAME)
    return blocks


def names(blocks: Path) -> list[str]:
    return sorted(file.name for file in cache_directory.scan(blocks))


def open_file(blocks: Path, flags: int = os.O_RDWR | os.O_CREAT) -> os.stat_result:
    with cache_directory.open_file(blocks, NAME, flags) as (_, found):
        return found


# --- the directory -------------------------------------------------------------------------------------


def test_directories_and_files_are_private(tmp_path: Path) -> None:
    blocks = cache_directory.prepare(tmp_path / "a" / "cache")
    cache_directory.make_shard(blocks, NAME)
    assert open_file(blocks).st_mode & 0o7777 == 0o600
    for path in (blocks / "ab", blocks, blocks.parent, blocks.parent.parent):
        assert path.stat().st_mode & 0o7777 == 0o700
    assert cache_directory.prepare(tmp_path / "a" / "cache") == cache_directory.find(tmp_path / "a" / "cache") == blocks


def test_a_cachedir_tag_excludes_it_from_backups(blocks: Path) -> None:
    tag = (blocks / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    cache_directory.prepare(blocks.parent)
    assert (blocks / "CACHEDIR.TAG").read_bytes() == tag


def test_find_creates_nothing(tmp_path: Path) -> None:
    assert cache_directory.find(tmp_path / "cache") is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: Not a directory"):
        cache_directory.find(tmp_path / "file")


@pytest.mark.parametrize("which", ["cache", "cache/blocks"])
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_a_directory_writable_by_others_is_refused(blocks: Path, which: str, mode: int) -> None:
    path = blocks.parent.parent / which
    path.chmod(mode)
    for look in (cache_directory.prepare, cache_directory.find):
        with pytest.raises(ConfigError, match=rf"{which} can be written to by others \(mode {mode:04o}\)") as error:
            look(blocks.parent)
        assert "--cache-dir" in error.value.hint


@pytest.mark.parametrize("which", ["cache", "cache/blocks"])
def test_a_symbolic_link_is_refused(tmp_path: Path, blocks: Path, which: str) -> None:
    (tmp_path / which).rename(tmp_path / "moved")
    (tmp_path / which).symlink_to(tmp_path / "moved")
    for look in (cache_directory.prepare, cache_directory.find):
        with pytest.raises(ConfigError, match=f"{which} .*symbolic link"):
            look(tmp_path / "cache")


@pytest.mark.parametrize("which", ["cache", "cache/blocks"])
def test_a_directory_of_another_user_is_refused(tmp_path: Path, blocks: Path, which: str) -> None:
    os.chown(tmp_path / which, 12345, -1)
    for look in (cache_directory.prepare, cache_directory.find):
        with pytest.raises(ConfigError, match=f"{which} .*belongs to another user"):
            look(tmp_path / "cache")


def test_a_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"disk cache: .*file") as error:
        cache_directory.prepare(tmp_path / "file" / "cache")
    assert "cache size of 0" in error.value.hint


# --- files ---------------------------------------------------------------------------------------------


def test_a_file_is_created_only_with_o_creat(blocks: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_file(blocks, os.O_RDONLY)
    assert stat.S_ISREG(open_file(blocks).st_mode)
    assert names(blocks) == [NAME]


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT])
@pytest.mark.parametrize("kind", ["link", "dangling link", "link to its directory", "directory", "fifo", "theirs"])
def test_other_files_and_links_are_not_opened(blocks: Path, kind: str, flags: int) -> None:
    elsewhere, path = blocks.parent.parent / "elsewhere", blocks / "ab" / NAME
    if kind == "link":
        elsewhere.write_text("theirs")
        path.symlink_to(elsewhere)
    elif kind == "dangling link":
        path.symlink_to(elsewhere)
    elif kind == "link to its directory":
        elsewhere.mkdir()
        (blocks / "ab").rmdir()
        (blocks / "ab").symlink_to(elsewhere)
        (elsewhere / NAME).touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.touch()
        os.chown(path, 12345, -1)
    with pytest.raises(OSError, match="Errno"):
        open_file(blocks, flags)
    assert not elsewhere.is_file() or elsewhere.read_text() == "theirs"


def test_all_descriptors_are_closed(blocks: Path) -> None:
    open_file(blocks)
    names(blocks)
    (blocks / "ab" / NAME).unlink()
    (blocks / "ab" / NAME).mkdir()
    for flags in (os.O_RDONLY, os.O_RDWR):
        with pytest.raises(OSError, match="Errno"):
            open_file(blocks, flags)
    assert open_descriptors(blocks) == 0


# --- scan, eviction, removal --------------------------------------------------------------


def test_scan_finds_only_block_files(tmp_path: Path, blocks: Path) -> None:
    open_file(blocks)
    others = tmp_path / "others"
    others.mkdir()
    for path in (
        "lock",
        "note",
        NAME,
        "ab/note",
        f"ab/cd{NAME[2:]}",
        f"ab/{NAME[:-1]}",
        f"ab/{NAME}0",
        "AB/x",
        "abc/x",
    ):
        (blocks / path).parent.mkdir(exist_ok=True)
        (blocks / path).touch()
    (others / f"cd{NAME[2:]}").touch()
    (blocks / "cd").symlink_to(others)
    (blocks / "ef").touch()
    (blocks / "ab" / f"ab{'1' * 62}").symlink_to(others / f"cd{NAME[2:]}")
    (blocks / "ab" / f"ab{'2' * 62}").mkdir()
    os.mkfifo(blocks / "ab" / f"ab{'3' * 62}")
    assert names(blocks) == [NAME]


def test_scan_reports_allocated_size_and_last_use(blocks: Path) -> None:
    open_file(blocks)
    path = blocks / "ab" / NAME
    os.truncate(path, 10**9)
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(5, 7))
    assert [*cache_directory.scan(blocks)] == [CacheFile(7, path.stat().st_blocks * 512, NAME)]
    assert 0 < path.stat().st_blocks * 512 < 10**6


def test_remove_does_not_follow_links(tmp_path: Path, blocks: Path) -> None:
    open_file(blocks)
    assert cache_directory.remove(blocks, NAME)
    assert not cache_directory.remove(blocks, NAME)
    assert not cache_directory.remove(blocks, f"cd{NAME[2:]}")
    (tmp_path / NAME).touch()
    (blocks / "ab").rmdir()
    (blocks / "ab").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        cache_directory.remove(blocks, NAME)
    assert (tmp_path / NAME).exists()


FILES = st.lists(st.builds(CacheFile, st.integers(0, 9), st.integers(0, 100), st.text("ab", min_size=1, max_size=9)))


@given(FILES, st.integers(0, 500))
def test_the_fewest_least_recently_used_files_are_evicted(files: list[CacheFile], limit: int) -> None:
    evicted = cache_directory.files_to_evict(files, limit)
    remaining = list(files)
    for file in evicted:
        remaining.remove(file)
    assert sum(file.size for file in remaining) <= limit
    assert not evicted or sum(file.size for file in [*remaining, evicted[-1]]) > limit
    assert all(file.used_at <= other.used_at for file in evicted for other in remaining)
