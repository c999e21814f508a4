"""restic on a mount during S3 faults: it succeeds when they pass, and never while they last, nor with what is false.

restic retries for a quarter of an hour, so during a lasting fault it is interrupted after its first error.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.proxy import Action, Close, Proxy, Reset, Rule, Shorten, Stall, Status, Wrong, WrongVersion, matching
from rwm.config import S3Settings
from rwm.index import Index
from rwm.location import Location
from rwm.s3 import connect
from rwm.states.capture import capture_state
from tests import repositories, restics
from tests.mount.conftest import PASSWORD, Restic, wait_until
from tests.mount.faulty import Mounted, Recorded, below, content, mounted
from tests.servers import Server
from tests.unit.states import name_another_version

# One worker makes the repository of all.
pytestmark = pytest.mark.xdist_group("restic and faults")

PACKS, SNAPSHOTS, INDEXES = "data/.*", "snapshots/.*", "index/.*"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files for three packs."""
    source = tmp_path_factory.mktemp("source")
    for number in range(9):
        (source / f"file {number}").write_bytes(content(4_000_000 + number, number))
    return source


@pytest.fixture(scope="module")
def recorded(seaweedfs: Server, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The state of a bucket that holds a repository of `source`."""
    directory = tmp_path_factory.mktemp("recorded")
    restic = Restic(restics.program("restic-debian"), directory / "cache")
    repositories.create(directory / "repository", PASSWORD)
    restic(directory / "repository", "backup", str(source))
    files = {str(path.relative_to(directory / "repository")): path for path in below(directory / "repository")}
    return Recorded(seaweedfs, directory, {key: path.read_bytes() for key, path in files.items()})


@pytest.fixture
def proxy(seaweedfs: Server) -> Iterator[Proxy]:
    with Proxy(seaweedfs.endpoint, keys=seaweedfs.accounts["admin"]) as proxy:
        yield proxy


def restored(restic: Restic, mount: Mounted, source: Path, target: Path) -> None:
    """Restore, and compare every byte."""
    restic(mount.path, "restore", "latest", "--target", str(target))
    for path in below(source):
        assert (target / path.relative_to("/")).read_bytes() == path.read_bytes()
    shutil.rmtree(target)


PASSING = {
    "5xx": Status(503, "SlowDown"),
    "reset": Reset(70_000),
    "closed": Close(70_000),
    "silence": Stall(70_000),
    "a shorter answer": Shorten(1),
    "another version": WrongVersion("another"),
    "wrong bytes": Wrong(),
    "access denied": Status(403, "AccessDenied"),
    "404": Status(404, "NoSuchVersion"),
}


@restics.current_is_slow
@pytest.mark.parametrize("action", PASSING.values(), ids=PASSING)
def test_restore_succeeds_despite_a_passing_fault(
    action: Action, recorded: Recorded, proxy: Proxy, source: Path, restic: Restic, tmp_path: Path
) -> None:
    with mounted(recorded, proxy, tmp_path, read_timeout=0.5) as mount:
        for keys in (PACKS, SNAPSHOTS, INDEXES):
            mount.fault(keys, action, count=1)
        restored(restic, mount, source, tmp_path / "restored")
        assert sum(seen.fault != "" for seen in proxy.requests()) == 3


def test_restore_and_check_succeed_with_many_passing_faults(
    recorded: Recorded, proxy: Proxy, source: Path, restic: Restic, tmp_path: Path
) -> None:
    with mounted(recorded, proxy, tmp_path, read_timeout=0.5) as mount:
        for number in range(40):
            mount.fault(".*", list(PASSING.values())[number % 6], count=1)
            mount.fault(".*", Action(), count=4)
        restored(restic, mount, source, tmp_path / "restored")
        assert "no errors were found" in restic(mount.path, "check", "--read-data")
        faults = {seen.fault for seen in proxy.requests() if seen.status != 206 or seen.sent == 70_000}
        assert len(faults) > 1


LASTING = {
    "404": (Status(404, "NoSuchVersion"), PACKS),
    "access denied": (Status(403, "AccessDenied"), PACKS),
    "5xx": (Status(503, "SlowDown"), PACKS),
    "wrong bytes": (Wrong(), PACKS),
    "404 of a snapshot": (Status(404, "NoSuchVersion"), SNAPSHOTS),
    "404 of an index": (Status(404, "NoSuchVersion"), INDEXES),
    "404 of config": (Status(404, "NoSuchVersion"), "config"),
}


@restics.current_is_slow
@pytest.mark.parametrize(("action", "keys"), LASTING.values(), ids=LASTING)
def test_restore_fails_with_eio_during_a_lasting_fault(
    action: Action, keys: str, recorded: Recorded, proxy: Proxy, source: Path, restic: Restic, tmp_path: Path
) -> None:
    output = tmp_path / "restic"
    with mounted(recorded, proxy, tmp_path, fetch_timeout=3) as mount:
        mount.fault(keys, action)
        command = ("restore", "latest", "--target", str(tmp_path / "restored"))
        with restic.started(mount.path, *command, output=output) as process:
            wait_until(
                lambda: process.poll() is not None or "input/output error" in output.read_text(), "what restic says"
            )
        assert process.returncode != 0, output.read_text()
        assert re.search("input/output error", output.read_text())
        proxy.clear()
        shutil.rmtree(tmp_path / "restored", ignore_errors=True)
        restored(restic, mount, source, tmp_path / "restored")


def test_current_restic_does_not_retry_archived_packs(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    """It takes EACCES for a final answer; other errors it would retry for 15 minutes each."""
    restic, output = Restic(restics.program("restic-current"), tmp_path / "cache"), tmp_path / "restic"
    with mounted(recorded, proxy, tmp_path) as mount:
        mount.fault(PACKS, Status(403, "InvalidObjectState"))
        command = ("restore", "latest", "--target", str(tmp_path / "restored"))
        with restic.started(mount.path, *command, output=output) as process:
            wait_until(lambda: process.poll() is not None, "the end of restic")
        assert process.returncode == 1, output.read_text()
        assert "permission denied" in output.read_text() and "retrying" not in output.read_text()


# --- what is false as long as it lasts -----------------------------------------------------------------------

LARGE = 8 << 20
"""Bytes of memory in which the larger packs have no room: parts of them are read."""


def refused(restic: Restic, mount: Mounted, *arguments: str, says: str, output: Path) -> str:
    """Run restic until it has said that; it must fail. Returns all that it said."""
    with restic.started(mount.path, *arguments, output=output) as process:
        wait_until(lambda: process.poll() is not None or re.search(says, output.read_text()) is not None, says)
    said = output.read_text()
    assert process.returncode != 0 and re.search(says, said), said
    return said


def recorded_again(recorded: Recorded, url: str, directory: Path) -> Recorded:
    """The state of the bucket as that endpoint lists it, in an index of its own."""
    again = copy.copy(recorded)
    again.index = directory / "index.sqlite"
    s3 = connect(S3Settings(url, recorded.server.accounts["admin"], recorded.server.region))
    with Index.open(again.index) as index:
        again.state = capture_state(s3, index, Location(recorded.bucket)).id
    return again


def test_wrong_bytes_of_a_part_are_refused_by_restic(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    """The mount cannot verify a part by the name of the whole: the bytes reach restic, which has a MAC of each blob."""
    restic = Restic(restics.program("restic-debian"), tmp_path / "cache")
    with mounted(recorded, proxy, tmp_path, "--buffer-size", str(LARGE)) as mount:
        for key in [key for key, data in recorded.files.items() if len(data) > LARGE]:
            mount.fault(key, Wrong())
        words = ("restore", "latest", "--include", "file 4", "--target", str(tmp_path / "restored"))
        said = refused(restic, mount, *words, says="ciphertext verification failed", output=tmp_path / "said")
        assert "input/output error" not in said
        assert mount.errors() == []


@dataclass(frozen=True)
class LeaveOut(Action):
    """Show no version of a key in a listing; blanks take their place."""

    key: str

    def body(self, pieces: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes]:
        version = rb"<Version>(?:(?!</Version>).)*<Key>%b</Key>.*?</Version>" % re.escape(self.key).encode()
        yield re.sub(version, lambda found: b" " * len(found[0]), b"".join(map(bytes, pieces)), flags=re.DOTALL)


def test_a_pack_that_a_listing_leaves_out_is_missed_by_restic(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    """Each listing leaves it out in the same way, and looks complete."""
    key = max(recorded.files, key=lambda key: len(recorded.files[key]))
    proxy.add(Rule(LeaveOut(key), matching("GET", f"^/{recorded.bucket}/?$")))
    lacking = recorded_again(recorded, proxy.url, tmp_path)
    proxy.clear()
    with Index.open(lacking.index, readonly=True) as index:
        listed = {entry.key for entry in index.entries(index.resolve(lacking.state))}
    assert {*recorded.files} - listed == {key}
    restic = Restic(restics.program("restic-debian"), tmp_path / "cache")
    with mounted(lacking, proxy, tmp_path) as mount:
        refused(restic, mount, "check", says=f"pack {Path(key).name[:8]}.*does not exist", output=tmp_path / "said")


def test_other_versions_in_the_index_are_refused_on_a_mount(recorded: Recorded, proxy: Proxy, tmp_path: Path) -> None:
    """Somebody changed the admin's index, so that it names junk of the same size."""
    changed = recorded_again(recorded, recorded.server.endpoint, tmp_path)
    pack = min((key for key in recorded.files if key.startswith("data/")), key=lambda key: len(recorded.files[key]))
    restic = Restic(restics.program("restic-debian"), tmp_path / "cache")
    for key, words, says in (
        (pack, ("check", "--read-data"), "input/output error"),
        ("config", ("snapshots",), "ciphertext verification failed"),
    ):
        junk = recorded.s3.put(recorded.bucket, key, os.urandom(len(recorded.files[key])))
        name_another_version(changed.index, key, junk)
        with mounted(changed, proxy, tmp_path) as mount:
            refused(restic, mount, *words, says=says, output=tmp_path / "said")
        assert recorded.s3.delete_versions(recorded.bucket, [(key, junk)]) == []
