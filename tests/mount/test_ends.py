"""The end of mounts: immediate, also while S3 hangs or a program uses them, and without leftovers."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.proxy import Proxy, Rule, Stall, matching
from rwmfs.mount.mountpoint import is_dead, mounted_at
from tests.mount.conftest import REPOSITORY, SECONDS, wait_until
from tests.mount.foreground import Started, is_free, started
from tests.mount.test_command import Place
from tests.servers import Server

MIB = 1 << 20
GONE = ("Transport endpoint is not connected", "Software caused connection abort", "Input/output error")


def key_of(pack: bytes) -> str:
    name = hashlib.sha256(pack).hexdigest()
    return f"data/{name[:2]}/{name}"


# Sorted, because packs that were uploaded within one second are taken to be in that order.
PACKS = sorted((random.Random(number).randbytes(3 * MIB) for number in range(8)), key=key_of)
CONFIG, LARGE = b"configuration", random.Random(8).randbytes(24 * MIB)
FILES = {"config": CONFIG, "large": LARGE} | {key_of(pack): pack for pack in PACKS}
HANGS = Rule(Stall(), matching("GET", "/data/|/large"))


@pytest.fixture(scope="module")
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    with Proxy(seaweedfs.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def filled(seaweedfs: Server, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A bucket with FILES, which mounts reach through the proxy."""
    place = Place(replace(seaweedfs, endpoint=proxy.url), tmp_path_factory.mktemp("ends"))
    for key, data in FILES.items():  # one after the other: that is the order of their upload
        place.s3.put(place.bucket, key, data)
    place.capture()
    return place


@pytest.fixture
def place(filled: Place, proxy: Proxy, home: Path) -> Iterator[Place]:
    """The same with the home of this test. Afterwards nothing is mounted and the server answers."""
    filled.shell.environment |= {name: value for name, value in os.environ.items() if str(home) in value}
    proxy.reset_traffic()
    yield filled
    proxy.clear()
    assert mounted_at(filled.mountpoint) is None


class Cat:
    """A program that reads a file to its end."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(["cat", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def read(self) -> bytes:
        """What it read, without an error."""
        data, error = self._process.communicate(timeout=SECONDS)
        assert (self._process.returncode, error) == (0, b"")
        return data

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._process.kill()
        self._process.communicate(timeout=SECONDS)

    def failed(self) -> bool:
        """Whether it failed because the mount had ended."""
        return self.ending() in GONE

    def ending(self) -> str:
        """Its error message."""
        _, error = self._process.communicate(timeout=SECONDS)
        return error.decode().strip().rpartition(": ")[2] if self._process.returncode else "done"


def stalled(proxy: Proxy, *keys: str) -> Callable[[], bool]:
    """Whether requests wait for a hanging server, for each of the keys if any are given."""

    def paths() -> list[str]:
        return [seen.request.path for seen in proxy.requests() if seen.fault == "Stall"]

    return lambda: bool(paths()) and all(any(path.endswith(key) for path in paths()) for key in keys)


def hanging(proxy: Proxy, root: Path) -> list[Cat]:
    """Readers that wait for the server, which hangs from now on."""
    proxy.add(HANGS)
    keys = "large", key_of(PACKS[0]), key_of(PACKS[1])
    readers = [Cat(root / key) for key in keys]
    wait_until(stalled(proxy, *keys), "requests of each that hang")
    return readers


def recover(proxy: Proxy) -> None:
    """Let waiting requests fail, and let the server answer again."""
    proxy.clear()
    proxy.down()
    proxy.up()


def caching(directory: Path) -> list[str]:
    """Options for a disk cache in which tests look."""
    return ["--cache-dir", str(directory / "cache"), "--cache-size", "64M"]


def test_umount_of_a_mount_in_use_is_refused(place: Place) -> None:
    with started(place) as mount, subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=mount.path) as inside:
        said = place.shell("rwmfs", "umount", "mnt", code=1).stderr
        assert said.startswith(f"rwmfs: cannot unmount {mount.path}: it is in use\n")
        assert f"fuser -vm {mount.path}" in said
        assert (mount.path / "config").read_bytes() == CONFIG
        inside.communicate()
        place.shell("rwmfs", "umount", "mnt")
        assert mount.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_mount_in_use(place: Place, number: int) -> None:
    with started(place) as mount, subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=mount.path) as inside:
        mount.process.send_signal(number)
        assert mount.ended() == 0
        assert is_dead(Path(f"/proc/{inside.pid}/cwd"))
        inside.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_mount_while_the_server_hangs(place: Place, proxy: Proxy, number: int, tmp_path: Path) -> None:
    with started(place, *caching(tmp_path)) as mount:
        readers = hanging(proxy, mount.path)
        mount.process.send_signal(number)
        assert mount.ended() == 0
        assert {reader.ending() for reader in readers} <= set(GONE)


def test_a_killed_reader_does_not_delay_the_end(place: Place, proxy: Proxy) -> None:
    with started(place) as mount:
        for reader in hanging(proxy, mount.path):
            reader.kill()
        place.shell("rwmfs", "umount", "mnt")
        assert mount.ended() == 0


def test_a_background_mount_ends_while_the_server_hangs(place: Place, proxy: Proxy) -> None:
    pid = place.shell.json("rwmfs", "mount", place.bucket, "mnt", "--at", "latest")["pid"]
    readers = hanging(proxy, place.mountpoint)
    assert "in use" in place.shell("rwmfs", "umount", "mnt", code=1).stderr
    os.kill(pid, signal.SIGTERM)
    assert {reader.ending() for reader in readers} <= set(GONE)
    wait_until(lambda: mounted_at(place.mountpoint) is None, "its end")
    wait_until(lambda: is_over(pid), "the end of its process")


def is_over(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_after_a_lazy_umount_open_files_are_served(place: Place, proxy: Proxy) -> None:
    with started(place) as mount:
        readers = hanging(proxy, mount.path)
        subprocess.run(["umount", "--lazy", mount.path], check=True)
        assert mounted_at(mount.path) is None
        recover(proxy)
        assert [reader.read() for reader in readers] == [LARGE, PACKS[0], PACKS[1]]
        assert mount.ended() == 0


@pytest.mark.parametrize("command", [["rwmfs", "umount"], ["fusermount3", "-u"], ["umount"]], ids=" ".join)
def test_read_ahead_does_not_delay_the_end(place: Place, proxy: Proxy, command: list[str]) -> None:
    proxy.add(Rule(Stall(), matching("GET", "|".join(map(key_of, PACKS[5:])))))
    with started(place) as mount:
        for key in (key_of(PACKS[0]), "large", *map(key_of, PACKS[1:5])):
            assert (mount.path / key).read_bytes() == FILES[key]
        wait_until(stalled(proxy), "a pack that is fetched before it is opened")
        place.shell(*command, "mnt")
        assert mount.ended() == 0


def test_after_kill_9_readers_get_an_error_and_a_new_mount_works(place: Place, proxy: Proxy, tmp_path: Path) -> None:
    with started(place, *caching(tmp_path)) as mount:
        readers = hanging(proxy, mount.path)
        mount.process.kill()
        assert {reader.ending() for reader in readers} <= set(GONE)
        wait_until(lambda: is_dead(mount.path), "its end")
        recover(proxy)
        with started(place, *caching(tmp_path)) as again:
            assert (again.path / "large").read_bytes() == LARGE
            again.process.terminate()
            assert again.ended() == 0


def test_kill_9_during_cache_writes_leaves_no_wrong_blocks(place: Place, tmp_path: Path) -> None:
    blocks = tmp_path / "cache" / "blocks"
    for files in (1, 3, 6):
        with started(place, *caching(tmp_path)) as mount:
            readers = [Cat(mount.path / key) for key in FILES]
            wait_until(lambda: len(list(blocks.glob("??/*"))) >= files, "something in the cache")  # noqa: B023
            mount.process.kill()
            mount.process.wait(SECONDS)
            for reader in readers:
                reader.failed()
        lock = blocks / "lock"  # made when the first block is counted, which may be after the kill
        assert not lock.exists() or is_free(lock)
    with started(place, *caching(tmp_path)) as mount:
        for key, data in FILES.items():
            assert (mount.path / key).read_bytes() == data
        mount.process.terminate()
        assert mount.ended() == 0
    place.capture()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start(place: Place, proxy: Proxy, number: int) -> None:
    proxy.add(Rule(Stall()))
    mount = Started(place)
    wait_until(stalled(proxy), "its first request")
    mount.process.send_signal(number)
    assert mount.ended() != 0
    assert "Traceback" not in mount.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_parent_during_a_background_start(place: Place, proxy: Proxy, number: int) -> None:
    """Only the parent gets the signal, as from kill(1)."""
    proxy.add(Rule(Stall()))
    parent = subprocess.Popen(
        [sys.executable, "-m", "rwmfs", "mount", place.bucket, "mnt", "--at", "latest"],
        cwd=place.shell.directory,
        env=place.shell.environment | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(stalled(proxy), "the first request")
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(number)
    _, said = parent.communicate(timeout=SECONDS)
    assert parent.returncode == 128 + number
    assert "Traceback" not in said
    assert is_over(int(child))


def test_two_mounts_of_one_state_share_the_disk_cache(place: Place, proxy: Proxy, tmp_path: Path) -> None:
    with started(place, *caching(tmp_path)) as one, started(place, *caching(tmp_path), name="other") as other:
        for mount in (one, other):
            for pack in PACKS[:3]:
                assert (mount.path / key_of(pack)).read_bytes() == pack
            wait_until(lambda: len(list((tmp_path / "cache" / "blocks").glob("??/*"))) >= 3, "the packs on disk")
            if mount is one:
                proxy.reset_traffic()
        first = key_of(PACKS[0])
        assert proxy.requests(matching("GET", first)) == [], "the other one found it on disk"
        one.process.terminate()
        assert one.ended() == 0
        assert (other.path / "large").read_bytes() == LARGE
        other.process.terminate()
        assert other.ended() == 0
    assert is_free(tmp_path / "cache" / "blocks" / "lock")


def test_a_second_mount_on_a_live_one_is_refused(place: Place) -> None:
    with started(place) as mount:
        done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", "latest", code=1)
        assert "is already mounted at" in done.stderr
        assert f"rwmfs umount {mount.path}" in done.stderr
        assert (mount.path / "config").read_bytes() == CONFIG
        subprocess.run(["fusermount3", "-u", mount.path], check=True)
        assert mount.ended() == 0
