"""``rwmfs mount`` and ``umount`` as commands, on a real S3 server."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.s3 import S3
from rwm.states.capture import capture_state
from rwmfs.mount.mountpoint import is_dead, mounted_at
from tests import ROOT
from tests.contract.buckets import at_once, versioned
from tests.e2e.cli import Shell
from tests.mount.conftest import wait_until
from tests.servers import Server

FILES = {
    "config": b"configuration",
    "data/ab/abcd": os.urandom(9_000_001),
    "data/empty": b"",
    "locks/left-behind": b"never shown",
    "snapshots/one": b"first",
    "space %25+/Привет": b"!",
}
HIDDEN = {"data/../x": b"1", "config/inside": b"2"}


class Place:
    """A bucket with FILES, its state, a configuration and a mountpoint."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.shell = Shell(directory)
        self.s3: S3 = server.connect("admin")
        self.bucket = versioned(self.s3, "mount")
        self.mountpoint = directory / "mnt"
        self.mountpoint.mkdir()
        self.shell.configure("rwm.conf", server.endpoint, server.accounts["admin"])
        self.index = directory / "index" / "index.sqlite"

    def put(self, files: dict[str, bytes]) -> None:
        at_once(lambda item: self.s3.put(self.bucket, *item), files.items())

    def capture(self) -> str:
        with Index.open(self.index) as index:
            return capture_state(self.s3, index, Location(self.bucket)).id

    def content(self) -> dict[str, bytes]:
        root = self.mountpoint
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def place(seaweedfs: Server, tmp_path: Path) -> Iterator[Place]:
    place = Place(seaweedfs, tmp_path)
    yield place
    while mounted_at(place.mountpoint) is not None:
        subprocess.run(["fusermount3", "-uz", place.mountpoint], check=True)


def test_a_mount_shows_the_state_after_the_objects_are_deleted(place: Place, home: Path) -> None:
    place.put(FILES)
    state = place.capture()
    for key in FILES:
        place.s3.put(place.bucket, key, b"poisoned")
        place.s3.delete(place.bucket, key)
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", state[:10])
    assert done.stderr == ""
    assert f"({state[:12]}, {len(FILES)} objects, 8.6 MiB) is at {place.mountpoint}" in done.stdout
    log = home / ".local/state/rwm/log" / f"rwmfs-{place.bucket}.log"
    assert f"log: {log}" in done.stdout
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    assert place.content() == {key: data for key, data in FILES.items() if not key.startswith("locks/")}
    version = os.getxattr(place.mountpoint / "snapshots" / "one", "user.rwm.version_id").decode()
    assert place.s3.get(place.bucket, "snapshots/one", version) == b"first"
    place.shell("rwmfs", "umount", "mnt")
    assert mounted_at(place.mountpoint) is None
    wait_until(lambda: "unmounted" in log.read_text(), "the log's last word")
    assert "ERROR" not in log.read_text()


def test_hidden_keys_are_counted_in_one_line(moto: Server, tmp_path: Path) -> None:
    place = Place(moto, tmp_path)
    place.put({**FILES, **HIDDEN})
    place.capture()
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", "latest")
    warnings = done.stderr.splitlines()
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: 2 keys have no path")
    assert (place.mountpoint / "config" / "inside").read_bytes() == b"2"
    place.shell("rwmfs", "umount", "mnt")


def test_archived_objects_are_counted_and_refused(moto: Server, tmp_path: Path) -> None:
    place = Place(moto, tmp_path)
    place.put({"config": b"configuration", "snapshots/one": b"first"})
    place.s3.client.put_object(Bucket=place.bucket, Key="data/ab/abcd", Body=b"12345", StorageClass="GLACIER")
    first = place.capture()
    text = "1 object, 5 B, is archived (GLACIER 1), as of the listing at "
    listing = f"`rwm state show {first[:12]} --archived` lists what to retrieve first"
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", first)
    assert done.stderr.startswith(f"warning: state {first[:12]}: {text}") and listing in done.stderr
    with pytest.raises(PermissionError):
        (place.mountpoint / "data" / "ab" / "abcd").read_bytes()
    assert (place.mountpoint / "snapshots" / "one").read_bytes() == b"first"
    place.shell("rwmfs", "umount", "mnt")
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--json")
    assert json.loads(done.stdout)["archived"]["objects"] == 1
    assert done.stderr.startswith(f"warning: all states: {text}")
    place.shell("rwmfs", "umount", "mnt")
    place.s3.client.put_object(Bucket=place.bucket, Key="config", Body=b"1", StorageClass="DEEP_ARCHIVE")
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", place.capture(), code=1)
    assert "InvalidObjectState" in done.stderr and "`rwm state show STATE --archived`" in done.stderr


def test_options_before_and_after_the_command_and_json(place: Place) -> None:
    place.put(FILES)
    state = place.capture()
    (place.shell.directory / "rwm.conf").rename(place.shell.directory / "other.conf")
    words = ["--at", "latest", place.bucket, "mnt", "--buffer-size", "1.5MiB", "-o", "ro,nofail,log_file=log"]
    for before, after in [(["-c", "other.conf", "--json"], []), ([], ["-c", "other.conf", "--json"])]:
        report = json.loads(place.shell("rwmfs", *before, "mount", *words, *after).stdout)
        assert (report["id"], report["objects"], report["hidden_keys"]) == (state, len(FILES), 0)
        assert report["mountpoint"] == str(place.mountpoint)
        assert report["log_file"] == str(place.shell.directory / "log")
        assert Path(f"/proc/{report['pid']}").exists()
        assert (place.mountpoint / "data" / "ab" / "abcd").read_bytes() == FILES["data/ab/abcd"]
        os.kill(report["pid"], signal.SIGUSR1)
        wait_until(lambda: "so far: served" in (place.shell.directory / "log").read_text(), "its answer")
        place.shell("rwmfs", "umount", "mnt")
        (place.shell.directory / "log").unlink()
    assert json.loads(place.shell("rwmfs", "version", "--json").stdout)["version"]


def test_foreground_mount(place: Place) -> None:
    place.put(FILES)
    place.capture()
    command = [sys.executable, "-m", "rwmfs", "mount", "-f", place.bucket, "mnt", "--at", "latest"]
    process = subprocess.Popen(
        command,
        cwd=place.shell.directory,
        env=place.shell.environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "is at" in process.stdout.readline()
    assert (place.mountpoint / "config").read_bytes() == b"configuration"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "SIGINT: unmounting" in stderr
    assert mounted_at(place.mountpoint) is None


def test_the_same_command_mounts_again_after_kill_9(place: Place) -> None:
    place.put(FILES)
    place.capture()
    mount = ("rwmfs", "--json", "mount", place.bucket, "mnt", "--at", "latest")
    os.kill(json.loads(place.shell(*mount).stdout)["pid"], signal.SIGKILL)
    wait_until(lambda: is_dead(place.mountpoint), "the mount's death")
    place.shell(*mount)
    assert (place.mountpoint / "config").read_bytes() == b"configuration"
    place.shell("rwmfs", "umount", "mnt")


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "message"),
    [
        (["--at", "latest"], {"RWM_S3_SECRET_KEY": "wrong"}, 6, "GetObject"),
        (["--at", "latest"], {"RWM_S3_ENDPOINT_URL": "http://127.0.0.1:1"}, 1, "127.0.0.1:1"),
        (["--at", "0123456789"], {}, 1, "no recorded state"),
        (["--at", "2001-01-01T00:00:00Z"], {}, 1, "no state of bucket"),
        (["--at", ""], {}, 2, "--at is empty"),
        (["--at", "latest", "--cache-size", "much"], {}, 2, "is not a size"),
        (["--at", "latest", "-o", "noatime,rw"], {}, 2, "mount option rw: a state is read-only"),
        (["--at", "latest", "-o", "size=1G"], {}, 2, "mount option size=1G is unknown"),
        (["--at", "latest", "--log-file", "missing/log"], {}, 1, "log file .*missing/log: No such file"),
    ],
)
def test_refused_mounts(
    place: Place, arguments: list[str], environment: dict[str, str], code: int, message: str
) -> None:
    place.put(FILES)
    place.capture()
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", *arguments, code=code, **environment)
    assert done.stdout == ""
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert mounted_at(place.mountpoint) is None


def test_a_pruned_version_fails_the_mount(place: Place) -> None:
    place.put(FILES)
    state = place.capture()
    with Index.open(place.index) as index:
        version = next(entry.version_id for entry in index.entries(index.resolve(state)) if entry.key == "config")
    place.s3.delete_versions(place.bucket, [("config", version)])
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", state, code=1)
    assert "config" in done.stderr
    assert mounted_at(place.mountpoint) is None


def test_a_version_pruned_after_the_mount_is_eio(place: Place) -> None:
    place.put(FILES)
    state = place.capture()
    place.shell("rwmfs", "mount", place.bucket, "mnt", "--at", state, "--log-file", "log")
    version = os.getxattr(place.mountpoint / "snapshots" / "one", "user.rwm.version_id").decode()
    place.s3.delete_versions(place.bucket, [("snapshots/one", version)])
    with pytest.raises(OSError, match="Errno 5"):
        (place.mountpoint / "snapshots" / "one").read_bytes()
    assert "cannot read snapshots/one" in (place.shell.directory / "log").read_text()
    place.shell("rwmfs", "umount", "mnt")
