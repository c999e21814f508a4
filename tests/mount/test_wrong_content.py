"""Content that does not match its hash: it stays neither in the kernel, nor in memory, nor on disk."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.proxy import Flip, Proxy
from tests.mount.conftest import wait_until
from tests.mount.faulty import Mounted, Recorded, below, content, mounted, named
from tests.servers import Server

MIB = 1 << 20
SMALL_DATA, PACK_DATA = content(3 * MIB + 5, 1), content(12 * MIB + 17, 2)
SMALL, PACK = named("index", SMALL_DATA), named("data", PACK_DATA)
OTHERS = {named("data", data): data for data in (content(5 * MIB, seed) for seed in range(3, 6))}
FILES = {"config": b"configuration", SMALL: SMALL_DATA, PACK: PACK_DATA, **OTHERS}
NARROW = ("--buffer-size", "8MiB")
"""A memory in which PACK has no room to be fetched whole, nor SMALL."""


@pytest.fixture(scope="module")
def recorded(seaweedfs: Server, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(seaweedfs, tmp_path_factory.mktemp("recorded"), FILES)


@pytest.fixture
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    with Proxy(seaweedfs.endpoint, keys=seaweedfs.accounts["admin"]) as proxy:
        yield proxy


def fails(mount: Mounted, key: str) -> None:
    with pytest.raises(OSError, match="Input/output error") as caught:
        mount.read(key)
    assert caught.value.errno == errno.EIO


def taken(directory: Path) -> int:
    """Bytes that files occupy on disk."""
    return sum(path.stat().st_blocks * 512 for path in below(directory))


def about(key: str, mount: Mounted) -> list[str]:
    return [line for line in mount.errors() if f"wrong content: {key}" in line]


@pytest.mark.parametrize("options", [(), NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("place", [0, 60_000], ids=["at the start", "further on"])
@pytest.mark.parametrize("key", [SMALL, PACK], ids=["small", "pack"])
def test_wrong_content_is_fetched_again_on_the_next_open(
    key: str, place: int, options: tuple[str, ...], recorded: Recorded, proxy: Proxy, tmp_path: Path
) -> None:
    """The page cache is invalidated as well."""
    with mounted(recorded, proxy, tmp_path, *options) as mount:
        mount.fault(key, Flip(place))
        fails(mount, key)
        fails(mount, key)
        assert about(key, mount)
        proxy.clear()
        assert mount.read(key) == FILES[key]


def test_open_files_fail_after_wrong_content_was_found(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    """The page cache has the wrong bytes and serves them to open files."""
    with mounted(recorded, proxy, tmp_path) as mount, (mount.path / PACK).open("rb", buffering=0) as early:
        mount.fault(PACK, Flip(1000))
        fails(mount, PACK)
        proxy.clear()
        with pytest.raises(OSError, match="Input/output error"):
            early.readall()
        assert mount.read(PACK) == PACK_DATA


@pytest.mark.parametrize("options", [(), NARROW], ids=["wide", "narrow"])
def test_wrong_content_is_never_read_to_its_end(
    options: tuple[str, ...], recorded: Recorded, proxy: Proxy, tmp_path: Path
) -> None:
    with mounted(recorded, proxy, tmp_path, *options) as mount:
        mount.fault(PACK, Flip(1000))
        with (mount.path / PACK).open("rb", buffering=0) as file:
            assert file.read(64 * 1024) != PACK_DATA[: 64 * 1024]
        for _ in range(3):
            fails(mount, PACK)
        proxy.clear()
        assert mount.read(PACK) == PACK_DATA


def test_a_passing_mismatch_of_a_whole_pack_is_retried(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    with mounted(recorded, proxy, tmp_path) as mount:
        for key, data in OTHERS.items():
            assert mount.read(key) == data
        mount.fault(PACK, Flip(100), count=1)
        assert mount.read(PACK) == PACK_DATA
        assert len(about(PACK, mount)) == 1


def test_verified_content_stays_in_the_page_cache(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    """The buffer is too small for it, so a read that reaches the mount would cause a request."""
    with mounted(recorded, proxy, tmp_path, *NARROW) as mount:
        assert mount.read(PACK) == PACK_DATA
        proxy.reset_traffic()
        assert mount.read(PACK) == PACK_DATA
        assert proxy.total("GET").requests == 0


@pytest.mark.parametrize("options", [(), NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("key", [SMALL, PACK], ids=["small", "pack"])
def test_wrong_content_is_not_kept_on_disk(
    key: str, options: tuple[str, ...], recorded: Recorded, proxy: Proxy, tmp_path: Path
) -> None:
    other = next(iter(OTHERS))
    options = (*options, "--cache-size", "1GiB", "--cache-dir", str(tmp_path / "cache"))
    with mounted(recorded, proxy, tmp_path, *options) as mount:
        mount.fault(key, Flip(70))
        fails(mount, key)
        proxy.clear()
        wait_until(lambda: taken(tmp_path / "cache") < len(OTHERS[other]) // 2, "the wrong content is removed")
        assert mount.read(other) == OTHERS[other]
        wait_until(lambda: taken(tmp_path / "cache") >= len(OTHERS[other]), "what was read later is on disk")
    with mounted(recorded, proxy, tmp_path, *options) as mount:
        proxy.reset_traffic()
        assert mount.read(other) == OTHERS[other]
        assert proxy.total("GET").requests == 0
        assert mount.read(key) == FILES[key]
