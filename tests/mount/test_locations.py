"""``rwmfs mount`` of a prefix, and of a bucket with several repositories: which directory is shown, of which states."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.states.capture import capture_state
from rwmfs.mount.mountpoint import mounted_at
from tests.mount.conftest import Serve
from tests.mount.test_command import Place
from tests.servers import Server

HOST1 = {"config": b"1", "keys/k": b"key", "data/ab/abcd": b"pack", "locks/left-behind": b"never shown"}
HOST2 = {"config": b"2", "keys/k": b"key2", "data/ab/abcd": b"pack2"}
OTHER = {"plain/locks/file": b"shown", "plain/config": b"3", "hidden//x": b"4"}
FILES = {
    **{f"host1/{key}": data for key, data in HOST1.items()},
    **{f"sites/a/host2/{key}": data for key, data in HOST2.items()},
    **OTHER,
}


@pytest.fixture
def place(moto: Server, tmp_path: Path) -> Iterator[Place]:
    place = Place(moto, tmp_path)
    place.put(FILES)
    yield place
    while mounted_at(place.mountpoint) is not None:
        subprocess.run(["fusermount3", "-uz", place.mountpoint], check=True)


def capture(place: Place, prefix: str = "") -> str:
    with Index.open(place.index) as index:
        return capture_state(place.s3, index, Location(place.bucket, prefix)).id


def unlocked(files: dict[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in files.items() if not re.search(r"^(host1/)?locks/", key)}


def test_a_prefix_from_a_state_of_the_bucket_and_of_the_prefix(place: Place) -> None:
    whole, own = capture(place), capture(place, "host1/")
    for state in (whole, own):
        words = ("rwmfs", "mount", f"{place.bucket}/host1/", "mnt", "--at", state, "--json", "--log-file", "log")
        report = json.loads(place.shell(*words).stdout)
        assert (report["id"], report["bucket"], report["prefix"]) == (state, place.bucket, "host1/")
        assert (report["objects"], report["bytes"], report["hidden_keys"]) == (len(HOST1), 19, 0)
        assert report["repository"]
        assert place.content() == unlocked(HOST1)
        assert list((place.mountpoint / "locks").iterdir()) == []
        mounted = mounted_at(place.mountpoint)
        assert mounted is not None
        assert mounted.source == f"rwmfs:{place.bucket}/host1@{state[:12]}"
        assert os.statvfs(place.mountpoint).f_files == len(HOST1) + 10_000
        assert os.getxattr(place.mountpoint, "user.rwm.state_id") == state.encode()
        place.shell("rwmfs", "umount", "mnt")


def test_the_whole_bucket_has_locks_in_each_repository(place: Place, home: Path) -> None:
    state = capture(place)
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", "latest")
    assert f"{place.bucket} as of" in done.stdout
    assert f"restic -r {place.mountpoint}/PREFIX --no-cache snapshots" in done.stdout
    assert f"rwm state show --hidden {state[:12]}" in done.stderr
    root = place.mountpoint
    shown = {key: data for key, data in unlocked(FILES).items() if key != "hidden//x"}
    assert place.content() == shown
    directories = [root, root / "host1", root / "sites/a/host2"]
    for directory in directories:
        assert [path.name for path in directory.iterdir()].count("locks") == 1
        (directory / "locks" / "lock").write_text(str(directory))
    for directory in directories:
        assert (directory / "locks" / "lock").read_text() == str(directory)
    with pytest.raises(OSError, match=re.escape(f"[Errno {errno.EXDEV}]")):
        (root / "host1/locks/lock").rename(root / "locks/other")
    with pytest.raises(OSError, match=re.escape(f"[Errno {errno.EROFS}]")):
        (root / "plain/locks/file").write_text("x")
    assert os.listxattr(root / "host1") == []
    place.shell("rwmfs", "umount", "mnt")
    assert (home / ".local/state/rwm/log" / f"rwmfs-{place.bucket}.log").exists()


def test_all_states_that_cover_a_prefix(place: Place) -> None:
    whole, own, other = capture(place), capture(place, "host1/"), capture(place, "sites/")
    words = ("rwmfs", "mount", f"{place.bucket}/host1", "mnt", "--json", "--log-file", "log")
    report = json.loads(place.shell(*words).stdout)
    assert (report["bucket"], report["prefix"], report["states"]) == (place.bucket, "host1/", 2)
    root = place.mountpoint
    assert {path.name for path in (root / "ids").iterdir()} == {whole, own}
    assert (root / "latest").readlink() == Path("ids", own)
    for state in (whole, own):
        found = {str(path.relative_to(root / "ids" / state)) for path in (root / "ids" / state).rglob("*/*")}
        assert {path for path in found if (root / "ids" / state / path).is_file()} == {"keys/k", "data/ab/abcd"}
        assert (root / "ids" / state / "config").read_bytes() == b"1"
        assert list((root / "ids" / state / "locks").iterdir()) == []
    assert not (root / "ids" / other).exists()
    assert os.statvfs(root).f_files == len(HOST1) + 10_000
    assert f" rwmfs:{place.bucket}/host1 " in Path("/proc/self/mountinfo").read_text()
    place.shell("rwmfs", "umount", "mnt")


def test_locations_that_cannot_be_mounted(place: Place) -> None:
    own = capture(place, "host1/")
    whole = capture(place)
    with Index.open(place.index) as index:
        index.forget([index.resolve(whole)])

    def refused(prefix: str, *words: str, code: int, message: str) -> None:
        done = place.shell("rwmfs", "mount", f"{place.bucket}{prefix}", "mnt", *words, code=code)
        first, *_ = done.stderr.splitlines()
        assert message in first, done.stderr
        assert "Traceback" not in done.stderr
        assert mounted_at(place.mountpoint) is None

    only = f"only of {place.bucket}/host1"
    refused("", "--at", "latest", code=1, message=only)
    refused("", code=1, message=only)
    refused("", "--at", own, code=2, message=f"state {own[:12]} is of {place.bucket}/host1, it does not cover")
    refused("/sites", "--at", own, code=1, message="no recorded state")
    refused("/host1/data", "--at", own, code=2, message="is a directory of the repository at")
    refused("/host1/data/ab", code=2, message="is a directory of the repository at")
    refused("/host1/none", "--at", own, code=1, message=f"has nothing below {place.bucket}/host1/none")
    refused("/host1/none", code=1, message=f"has nothing below {place.bucket}/host1/none")
    refused("//x", code=2, message="is no location: empty name in its prefix")
    refused("/../x", code=2, message="is no location")


def test_two_repositories_that_are_read_at_once_are_prefetched(serve: Serve, tmp_path: Path) -> None:
    """12 packs of 1 MiB of each are read in turn. An eighth of 23 MiB, read by the last open, is 2 packs ahead.

    It is 3 if their order is found after all reads.
    """
    packs: dict[str, list[str]] = {}
    for host in ("host1", "host2"):
        contents = [random.Random(f"{host} {number}").randbytes(1 << 20) for number in range(16)]
        names = {hashlib.sha256(data).hexdigest(): data for data in contents}
        for name, data in names.items():
            path = tmp_path / "bucket" / host / "data" / name[:2] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        packs[host] = sorted(f"{host}/data/{name[:2]}/{name}" for name in names)
    filesystem = serve(directory=tmp_path / "bucket")
    for pair in list(zip(packs["host1"], packs["host2"], strict=True))[:12]:
        for key in pair:
            assert (filesystem.path / key).read_bytes() == (tmp_path / "bucket" / key).read_bytes()
    filesystem.wait_for_counters(r"served 24\.0 MiB, fetched 2[67]\.0 MiB .* wasted 0\.0 MiB")
