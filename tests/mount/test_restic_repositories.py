"""restic on several repositories in one mount, each with the command line of a local repository."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.states.capture import capture_state
from rwmfs.mount.mountpoint import mounted_at
from tests import repositories, restics
from tests.mount.conftest import PASSWORD, Restic, Serve, wait_until
from tests.mount.test_command import Place
from tests.servers import Server

LOCATIONS = ["", "host1", "sites/a/host2"]
"""Repositories in one bucket: at its root, and two in the tree of that one."""


def write_source(directory: Path) -> Path:
    """Files to back up, other ones for each directory."""
    directory.mkdir(parents=True)
    data = random.Random(str(directory))
    for number in range(8):
        (directory / f"file{number}").write_bytes(data.randbytes(number * 40_000))
    return directory


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def assert_restored(restic: Restic, repository: Path, source: Path, target: Path) -> None:
    """``restic restore`` of a repository gives the source; no lock is left."""
    restic(repository, "restore", "latest", "--target", str(target))
    assert content(target / source.relative_to("/")) == content(source)
    assert list((repository / "locks").iterdir()) == []


@restics.current_is_slow
def test_each_repository_in_a_mount_is_restored_verbatim(serve: Serve, restic: Restic, tmp_path: Path) -> None:
    bucket, sources = tmp_path / "bucket", {}
    repositories.create(tmp_path / "new", PASSWORD)
    for location in LOCATIONS:
        shutil.copytree(tmp_path / "new", bucket / location, dirs_exist_ok=True)
        sources[location] = write_source(tmp_path / f"source-{location.replace('/', '-')}")
        restic(bucket / location, "backup", str(sources[location]))
        (bucket / location / "locks" / ("0" * 64)).write_text("left behind")
    mount = serve(directory=bucket).path
    for number, location in enumerate(LOCATIONS):
        assert_restored(restic, mount / location, sources[location], tmp_path / f"restored{number}")


@restics.current_is_slow
def test_a_lock_in_one_repository_does_not_lock_another(serve: Serve, restic: Restic, tmp_path: Path) -> None:
    bucket, snapshots, output = tmp_path / "bucket", tmp_path / "snapshots", tmp_path / "output"
    repositories.create(bucket / "host1", PASSWORD)
    restic(bucket / "host1", "backup", __file__)
    shutil.copytree(bucket / "host1", bucket / "host2")
    mount = serve(directory=bucket).path
    snapshots.mkdir()
    with restic.started(mount / "host1", "mount", str(snapshots), output=output) as process:
        wait_until(lambda: process.poll() is not None or snapshots.is_mount(), "restic mount")
        assert len(list((mount / "host1" / "locks").iterdir())) == 1
        assert list((mount / "host2" / "locks").iterdir()) == []
        assert "no errors were found" in restic(mount / "host2", "check")  # takes an exclusive lock
    subprocess.run(["fusermount3", "-uz", snapshots], check=False, stderr=subprocess.DEVNULL)
    assert process.returncode in (0, 130), output.read_text()
    assert list((mount / "host1" / "locks").iterdir()) == []


@restics.current_is_slow
def test_a_repository_before_its_first_backup(serve: Serve, restic: Restic, tmp_path: Path) -> None:
    """In a bucket it has only ``config`` and ``keys/``."""
    bucket = tmp_path / "bucket"
    restic(bucket / "host1", "init")
    mount = serve(directory=bucket).path
    assert sorted(path.name for path in (mount / "host1").iterdir()) == ["config", "keys", "locks"]
    assert restic(mount / "host1", "snapshots").strip() in ("", "0 snapshots")
    assert "no errors were found" in restic(mount / "host1", "check")


# --- with a real server --------------------------------------------------------------------------------------


@pytest.fixture
def place(seaweedfs: Server, tmp_path: Path) -> Iterator[Place]:
    place = Place(seaweedfs, tmp_path)
    yield place
    while mounted_at(place.mountpoint) is not None:
        subprocess.run(["fusermount3", "-uz", place.mountpoint], check=True)


@pytest.fixture
def sources(place: Place, restic: Restic, tmp_path: Path) -> dict[str, Path]:
    """What the repositories at LOCATIONS in the bucket hold, written by restic itself."""
    sources = {}
    environment = place.server.environment("admin")
    for location in LOCATIONS:
        sources[location] = write_source(tmp_path / f"source-{location.replace('/', '-')}")
        where = str(Location.parse(f"{place.bucket}/{location}"))
        repositories.create_in(place.server.connect(), where, PASSWORD)
        command = [restic.program, "-r", f"s3:{place.server.endpoint}/{where}", "backup", str(sources[location])]
        subprocess.run(command, env=restic.environment | environment, capture_output=True, check=True, timeout=120)
    return sources


@pytest.mark.slow
@pytest.mark.parametrize("reader", list(restics.PROGRAMS))
def test_mounts_of_a_bucket_and_of_its_prefixes(
    place: Place, restic: Restic, sources: dict[str, Path], reader: str, tmp_path: Path
) -> None:
    """A mount of the bucket, and of each prefix from a state of the bucket and from one of the prefix."""
    read = Restic(restics.program(reader), tmp_path / "reader-cache")
    with Index.open(place.index) as index:
        states = {
            location: capture_state(place.s3, index, Location.parse(f"{place.bucket}/{location}")).id
            for location in LOCATIONS
        }
    place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", states[""], "--log-file", "log")
    for number, location in enumerate(LOCATIONS):
        assert_restored(read, place.mountpoint / location, sources[location], tmp_path / f"whole{number}")
        assert "no errors were found" in read(place.mountpoint / location, "check", "--read-data")
    place.shell("rwmfs", "umount", "mnt")
    for number, location in enumerate(LOCATIONS[1:]):
        for state in (states[""], states[location]):
            where = f"{place.bucket}/{location}"
            place.shell("rwmfs", "mount", where, "mnt", "--at", state, "--log-file", "log")
            assert_restored(read, place.mountpoint, sources[location], tmp_path / f"{state[:6]}{number}")
            place.shell("rwmfs", "umount", "mnt")
    place.shell("rwmfs", "mount", f"{place.bucket}/host1", "mnt", "--log-file", "log")
    assert_restored(read, place.mountpoint / "latest", sources["host1"], tmp_path / "latest")
    place.shell("rwmfs", "umount", "mnt")
