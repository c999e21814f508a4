"""``rwmfs mount`` without ``--at``: all recorded states, and restic on each of them."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.model import StateInfo
from rwm.times import iso
from rwmfs.mount.mountpoint import mounted_at
from tests import repositories
from tests.mount.conftest import PASSWORD, Restic, wait_until
from tests.mount.test_command import Place
from tests.servers import Server


@pytest.fixture
def place(moto: Server, tmp_path: Path) -> Iterator[Place]:
    place = Place(moto, tmp_path)
    yield place
    while mounted_at(place.mountpoint) is not None:
        subprocess.run(["fusermount3", "-uz", place.mountpoint], check=True)


def state(place: Place, state_id: str) -> StateInfo:
    with Index.open(place.index) as index:
        return index.resolve(state_id)


def mount(place: Place, *words: str) -> None:
    place.shell("rwmfs", "mount", place.bucket, "mnt", "--log-file", "log", *words)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def target(link: Path) -> str:
    return str(link.readlink())


def test_what_is_there(place: Place) -> None:
    place.put({"config": b"1", "data/a": b"old", "x//y": b"hidden", "locks/left-behind": b"never shown"})
    one = state(place, place.capture())
    place.put({"data/a": b"poisoned"})
    two = state(place, place.capture())
    done = place.shell("rwmfs", "mount", place.bucket, "mnt")
    assert done.stderr == ""
    assert f"{place.bucket}: all recorded states (2) are at {place.mountpoint}\n" in done.stdout
    assert "log: " in done.stdout
    root = place.mountpoint
    assert names(root) == {".rwm", "ids", "times", "latest"}
    assert names(root / "ids") == {one.id, two.id}
    assert {path.name: target(path) for path in (root / "times").iterdir()} == {
        iso(info.captured_at): f"../ids/{info.id}" for info in (one, two)
    }
    assert target(root / "latest") == f"ids/{two.id}"
    assert names(root / "ids" / one.id) == {"config", "data", "locks"}
    assert names(root / "ids" / one.id / "locks") == set()
    assert (root / "times" / iso(one.captured_at) / "data" / "a").read_bytes() == b"old"
    assert (root / "ids" / one.id[:8] / "data" / "a").read_bytes() == b"old"
    assert (root / "latest" / "data" / "a").read_bytes() == b"poisoned"
    assert (root / ".rwm" / "hidden" / one.id).read_text() == "x//y\n"
    assert (root / "ids" / one.id).stat().st_mtime == one.captured_at / 1000
    known = {name: os.getxattr(root / "latest", name) for name in os.listxattr(root / "latest")}
    assert known == {
        "user.rwm.state_id": two.id.encode(),
        "user.rwm.captured_at": iso(two.captured_at).encode(),
        "user.rwm.trust": b"own",
    }
    assert os.getxattr(root / "latest" / "config", "user.rwm.etag")
    assert os.statvfs(root).f_namemax == 255
    for change in (
        lambda: (root / "ids" / "new").mkdir(),
        lambda: (root / "latest").unlink(),
        lambda: (root / "new").touch(),
        lambda: (root / "times" / "new").symlink_to("x"),
        lambda: (root / ".rwm" / "hidden" / one.id).write_text("x"),
        lambda: (root / "ids" / one.id).rename(root / "ids" / "other"),
    ):
        with pytest.raises(OSError, match=re.escape(f"[Errno {errno.EROFS}]")):
            change()
    place.shell("rwmfs", "umount", "mnt")


def test_json_report(place: Place) -> None:
    place.put({"config": b"1"})
    place.capture()
    report = json.loads(place.shell("rwmfs", "mount", place.bucket, "mnt", "--json", "--log-file", "log").stdout)
    assert Path(f"/proc/{report.pop('pid')}").exists()
    archived = report.pop("archived")
    assert (archived.pop("listed_at") is not None, archived) == (True, {"objects": 0, "bytes": 0})
    assert report == {
        "bucket": place.bucket,
        "prefix": "",
        "storage_classes": {},
        "states": 1,
        "trust": {"own": 1},
        "unreadable": None,
        "mountpoint": str(place.mountpoint),
        "log_file": str(place.shell.directory / "log"),
    }
    assert f" rwmfs:{place.bucket} " in Path("/proc/self/mountinfo").read_text()
    place.shell("rwmfs", "umount", "mnt")


def test_an_unproven_state_is_a_warning(place: Place) -> None:
    place.put({"config": b"1"})
    one = place.capture()
    place.put({"config": b"2"})
    two = place.capture()
    with Index.open(place.index) as index:
        index.ledger.set_trust({two: "contradicted"}, 1)
    done = place.shell("rwmfs", "mount", place.bucket, "mnt")
    assert done.stderr.startswith("warning: 1 state contradicted by the bucket's own history, shown in ids/ only")
    assert len(done.stderr.splitlines()) == 1
    assert target(place.mountpoint / "latest") == f"ids/{one}"
    assert os.getxattr(place.mountpoint / "ids" / two, "user.rwm.trust") == b"contradicted"
    assert names(place.mountpoint / "ids") == {one, two}
    assert names(place.mountpoint / "times") == {iso(state(place, one).captured_at)}
    with Index.open(place.index) as index:
        index.ledger.set_trust({one: "contradicted"}, 1)
    place.shell("rwmfs", "umount", "mnt")
    assert "warning: 2 states contradicted" in place.shell("rwmfs", "mount", place.bucket, "mnt").stderr
    assert names(place.mountpoint) == {".rwm", "ids", "times"}, "no state is the latest"
    place.shell("rwmfs", "umount", "mnt")


def test_without_states_the_mount_is_refused(place: Place) -> None:
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", code=1)
    assert f"there is no index at {place.index} yet" in done.stderr
    assert not place.index.parent.exists()
    Index.open(place.index).close()
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", code=1)
    assert re.search(f"no state of bucket {place.bucket} is recorded\n.*rwm state sync {place.bucket}", done.stderr)
    assert mounted_at(place.mountpoint) is None


def test_unreadable_states_are_not_mounted(place: Place) -> None:
    place.put({"config": b"1"})
    place.capture()
    variables = {"RWM_S3_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = place.shell("rwmfs", "mount", place.bucket, "mnt", code=1, **variables)
    assert "127.0.0.1:1" in done.stderr
    assert mounted_at(place.mountpoint) is None


def test_recorded_and_forgotten_states_appear_and_disappear(place: Place) -> None:
    """The kernel caches directory entries for a short time only."""
    place.put({"config": b"1"})
    one = place.capture()
    mount(place)
    root, absent = place.mountpoint, "f" * 64
    assert names(root / "ids") == {one}
    assert not (root / "ids" / absent).exists()
    place.put({"config": b"2"})
    two = place.capture()
    wait_until(lambda: target(root / "latest") == f"ids/{two}", "the new state is the latest")
    wait_until(lambda: (root / "latest" / "config").read_bytes() == b"2", "its content")
    assert names(root / "ids") == {one, two}
    assert len(names(root / "times")) == 2
    place.shell("rwm", "state", "forget", two, "--yes")
    wait_until(lambda: target(root / "latest") == f"ids/{one}", "the first is the latest again")
    wait_until(lambda: names(root / "ids") == {one}, "the other one's end")
    assert len(names(root / "times")) == 1
    assert (root / "latest" / "config").read_bytes() == b"1"
    place.shell("rwmfs", "umount", "mnt")


def test_reading_a_forgotten_state_is_eio(place: Place) -> None:
    place.put({"config": b"1", "data/a": b"2", "data/b": b"3"})
    one = place.capture()
    mount(place)
    root = place.mountpoint / "ids" / one
    inside = os.open(root / "data", os.O_RDONLY)
    opened = (root / "config").open("rb")
    place.shell("rwm", "state", "forget", one, "--yes")

    def failed(path: str, directory: int | None = None) -> bool:
        try:
            os.close(os.open(path, os.O_RDONLY, dir_fd=directory))
        except OSError as error:
            assert error.errno == errno.EIO, "never absent"
            return True
        return False

    wait_until(lambda: failed(str(root / "snapshots")), "what was never asked for")
    assert failed("b", inside)
    assert failed("never", inside)
    with pytest.raises(OSError, match=re.escape(f"[Errno {errno.EIO}]")), os.scandir(inside) as entries:
        list(entries)
    assert opened.read() == b"1", "what was opened before is read by its version"
    opened.close()
    os.close(inside)
    wait_until(lambda: names(place.mountpoint / "ids") == set(), "its end in the listing")
    assert failed(str(root / "config")), "now by its name too"
    log = (place.shell.directory / "log").read_text()
    assert log.count("is not in the index any more") == 1
    place.shell("rwmfs", "umount", "mnt")


@pytest.fixture
def backed_up(place: Place, restic: Restic, tmp_path: Path) -> tuple[str, str]:
    """Ids of two states of a repository, each after a backup."""
    source, repository, states = tmp_path / "source", tmp_path / "repository", []
    source.mkdir()
    repositories.create(repository, PASSWORD)
    for number in (1, 2):
        (source / f"file{number}").write_bytes(os.urandom(300_000))
        restic(repository, "backup", str(source))
        files = {str(path.relative_to(repository)): path for path in repository.rglob("*") if path.is_file()}
        place.put({key: path.read_bytes() for key, path in files.items()})
        states.append(place.capture())
    return states[0], states[1]


def test_restic_reads_each_state(place: Place, restic: Restic, backed_up: tuple[str, str], tmp_path: Path) -> None:
    mount(place)
    one, two = (state(place, each) for each in backed_up)
    for name, snapshots in {
        f"ids/{one.id}": 1,
        f"ids/{two.id[:12]}": 2,
        f"times/{iso(one.captured_at)}": 1,
        "latest": 2,
    }.items():
        repository = place.mountpoint / name
        assert re.search(rf"^{snapshots} snapshots", restic(repository, "snapshots"), re.MULTILINE), name
        assert "no errors were found" in restic(repository, "check", "--read-data"), name
        assert names(repository / "locks") == set()
    restic(place.mountpoint / "times" / iso(one.captured_at), "restore", "latest", "--target", str(tmp_path / "out"))
    restored = tmp_path / "out" / (tmp_path / "source").relative_to("/")
    assert {path.name: path.read_bytes() for path in restored.iterdir()} == {
        "file1": (tmp_path / "source" / "file1").read_bytes()
    }
    place.shell("rwmfs", "umount", "mnt")


def refused(restic: Restic, repository: Path, command: str, *, message: str, output: Path) -> None:
    """restic reports it and fails. It may retry for long, so it is interrupted then."""
    with restic.started(repository, command, output=output) as process:
        wait_until(lambda: process.poll() is not None or message in output.read_text(), message)
    assert message in output.read_text()
    assert process.returncode != 0


def test_locks_of_states_are_separate(place: Place, restic: Restic, backed_up: tuple[str, str], tmp_path: Path) -> None:
    mount(place)
    one, two = (place.mountpoint / "ids" / each for each in backed_up)
    (tmp_path / "snapshots").mkdir()
    environment = os.environ | {"RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": str(tmp_path / "restic-cache")}
    command = ["restic", "-r", str(one), "mount", str(tmp_path / "snapshots")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holder:
        try:
            wait_until(lambda: os.path.ismount(tmp_path / "snapshots"), "restic mount")
            (lock,) = (one / "locks").iterdir()
            assert names(two / "locks") == set()
            assert "no errors were found" in restic(two, "check")
            refused(restic, one, "check", message="already locked", output=tmp_path / "output")
            with pytest.raises(OSError, match=re.escape(f"[Errno {errno.EXDEV}]")):
                lock.rename(two / "locks" / lock.name)
        finally:
            holder.send_signal(signal.SIGINT)
    assert names(one / "locks") == set()
    place.shell("rwmfs", "umount", "mnt")


def test_a_forgotten_state_is_an_error_for_restic(
    place: Place, restic: Restic, backed_up: tuple[str, str], tmp_path: Path
) -> None:
    mount(place)
    repositories = [
        place.mountpoint / "ids" / backed_up[0],
        place.mountpoint / "times" / iso(state(place, backed_up[0]).captured_at),
    ]
    for repository in repositories:
        assert "1 snapshots" in restic(repository, "snapshots")
    place.shell("rwm", "state", "forget", backed_up[0], "--yes")
    wait_until(lambda: backed_up[0] not in names(place.mountpoint / "ids"), "its end")
    for repository in repositories:
        refused(restic, repository, "snapshots", message="input/output error", output=tmp_path / "output")
    place.shell("rwmfs", "umount", "mnt")
