"""Outages during a mount: of the endpoint, a version, the index, the disk cache.

The titles of EVENTS are those of the table in docs/semantics.md.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from bench.proxy import Proxy, Stall
from rwm.index import Index
from rwm.location import Location
from rwm.states.capture import capture_state
from rwmfs.defaults import FETCH_TIMEOUT
from tests.mount.conftest import wait_until
from tests.mount.faulty import Mounted, Recorded, below, content, mounted, named
from tests.servers import Server

MIB = 1 << 20
PACK_DATA = content(9 * MIB + 17, 1)
PACK = named("data", PACK_DATA)
FILES = {"config": b"configuration", PACK: PACK_DATA}
FILES |= {named(directory, data): data for directory in ("snapshots", "index") for data in (b"one", b"two", b"three")}


@pytest.fixture
def recorded(seaweedfs: Server, tmp_path: Path) -> Recorded:
    return Recorded(seaweedfs, tmp_path, FILES)


@pytest.fixture
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    with Proxy(seaweedfs.endpoint, keys=seaweedfs.accounts["admin"]) as proxy:
        yield proxy


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in below(root)}


def errno_of(call: Callable[[], object]) -> int | None:
    """The errno of reading a file, None for success."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


# --- the endpoint ----------------------------------------------------------------------------------------


def test_reads_wait_for_the_endpoint_to_return(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    with mounted(recorded, proxy, tmp_path) as mount:
        assert mount.read("config") == FILES["config"]
        proxy.down()
        back = threading.Timer(1.5, proxy.up)
        back.start()
        assert mount.read(PACK) == PACK_DATA
        back.join()
        assert mount.errors() == []


def test_an_endpoint_outage_beyond_the_timeout_is_eio(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    assert FETCH_TIMEOUT == 300, "what the documents say"
    with mounted(recorded, proxy, tmp_path, fetch_timeout=3) as mount:
        proxy.down()
        assert errno_of(lambda: mount.read(PACK)) == errno.EIO
        assert "no usable answer within 3 s; the last one: GetObject" in mount.errors()[0]
        proxy.up()
        assert everything(mount.path) == FILES


def test_a_mount_ends_during_a_waiting_read(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with mounted(recorded, proxy, tmp_path, read_timeout=60, fetch_timeout=600) as mount:
            mount.fault(PACK, Stall())
            reading = pool.submit(errno_of, lambda: mount.read(PACK))
            wait_until(lambda: any(seen.fault for seen in proxy.requests()), "the read")
        assert reading.result() in (errno.ECONNABORTED, errno.ENOTCONN, errno.EIO)


# --- a version -------------------------------------------------------------------------------------------


def test_an_open_version_is_deleted(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    version = recorded.version(PACK)
    with mounted(recorded, proxy, tmp_path) as mount, (mount.path / PACK).open("rb", buffering=0) as file:
        assert file.read(4096) == PACK_DATA[:4096]
        assert recorded.s3.delete_versions(recorded.bucket, [(PACK, version)]) == []
        file.seek(8 * MIB)
        assert errno_of(lambda: file.read(4096)) == errno.EIO
        (line,) = mount.errors()
        assert f"cannot read {PACK} (version {version})" in line
        assert (
            everything(mount.path / "snapshots").items()
            == {
                key.removeprefix("snapshots/"): data for key, data in FILES.items() if key.startswith("snapshots/")
            }.items()
        )


def test_an_overwritten_null_version_is_eio(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    """Objects from before versioning have the version null, which can be overwritten."""
    suspended = {"Bucket": recorded.bucket, "VersioningConfiguration": {"Status": "Suspended"}}
    recorded.s3.client.put_bucket_versioning(**suspended)  # type: ignore[arg-type]
    recorded.s3.put(recorded.bucket, "old", b"before")
    with Index.open(recorded.index) as index:
        recorded.state = capture_state(recorded.s3, index, Location(recorded.bucket)).id
    assert recorded.version("old") == "null"
    with mounted(recorded, proxy, tmp_path) as mount:
        recorded.s3.put(recorded.bucket, "old", b"after!")
        assert errno_of(lambda: mount.read("old")) == errno.EIO
        (line,) = mount.errors()
        assert "cannot read old (version null)" in line and "it was overwritten" in line
        assert mount.read("config") == FILES["config"]


# --- the index -------------------------------------------------------------------------------------------


def moved_away(recorded: Recorded) -> None:
    """Replace the index, as `rwm state sync` replaces a damaged one, by one with other states."""
    recorded.index.rename(recorded.index.with_suffix(".damaged"))
    for end in ("-wal", "-shm"):
        recorded.index.with_name(recorded.index.name + end).unlink(missing_ok=True)
    with Index.open(recorded.index) as index:
        recorded.s3.put(recorded.bucket, "config", b"another")
        capture_state(recorded.s3, index, Location(recorded.bucket))


def overwritten(recorded: Recorded) -> None:
    size = recorded.index.stat().st_size
    with recorded.index.open("r+b") as file:
        file.write(os.urandom(size))


def emptied(recorded: Recorded) -> None:
    os.truncate(recorded.index, 0)


@pytest.mark.parametrize("befalls", [moved_away, overwritten, emptied], ids=lambda function: function.__name__)
def test_a_damaged_or_missing_index_hides_no_file(
    befalls: Callable[[Recorded], None], recorded: Recorded, proxy: Proxy, tmp_path: Path
) -> None:
    """Names looked up before, others, and open files: all are as before, or an error."""
    with mounted(recorded, proxy, tmp_path) as mount, (mount.path / PACK).open("rb", buffering=0) as file:
        assert file.read(4096) == PACK_DATA[:4096]
        befalls(recorded)
        file.seek(8 * MIB)
        assert file.read(4096) == PACK_DATA[8 * MIB :][:4096]
        for key, data in FILES.items():
            assert errno_of(partial(same, mount, key, data)) in (None, errno.EIO)
        for directory in ("snapshots", "index", "data"):
            expected = {key.split("/")[1] for key in FILES if key.startswith(f"{directory}/")}
            assert errno_of(partial(listed, mount.path / directory, expected)) in (None, errno.EIO)
        if befalls is moved_away:
            assert everything(mount.path) == FILES


def same(mount: Mounted, key: str, data: bytes) -> None:
    assert mount.read(key) == data


def listed(directory: Path, names: set[str]) -> None:
    assert {path.name for path in directory.iterdir()} == names


# --- the cache on disk -----------------------------------------------------------------------------------


def removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def test_the_disk_cache_is_removed_during_the_mount(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    options = ("--cache-dir", str(cache), "--cache-size", "1GiB", "--buffer-size", "4MiB")
    with mounted(recorded, proxy, tmp_path, *options) as mount, (mount.path / PACK).open("rb", buffering=0) as file:
        assert file.read(5 * MIB) == PACK_DATA[: 5 * MIB]
        wait_until(lambda: cache.exists() and any(below(cache)), "something is kept")
        wait_until(lambda: removed(cache), "it is gone, whatever is written meanwhile")
        assert file.read() == PACK_DATA[5 * MIB :]
        assert everything(mount.path) == FILES
        assert mount.errors() == []


EVENTS = {
    "the endpoint is gone and comes back": (
        test_reads_wait_for_the_endpoint_to_return,
        test_an_endpoint_outage_beyond_the_timeout_is_eio,
    ),
    "a version is deleted while it is open": (test_an_open_version_is_deleted,),
    "what has no version (`null`) is overwritten": (test_an_overwritten_null_version_is_eio,),
    "another index takes the place of the one in use": (test_a_damaged_or_missing_index_hides_no_file,),
    "the index is overwritten or cut off": (test_a_damaged_or_missing_index_hides_no_file,),
    "the directory of the disk cache is removed": (test_the_disk_cache_is_removed_during_the_mount,),
    "it is unmounted while a read waits": (test_a_mount_ends_during_a_waiting_read,),
}
"""Title → the tests that show it."""
