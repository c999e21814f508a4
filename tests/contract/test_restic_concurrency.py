"""Captures taken while restic backs up, forgets and prunes: each captured state passes `restic check`.

Each listing waits at one point for restic, so that restic writes and deletes between two prefixes or two pages. Of ten
repositories in one bucket, restic writes to one.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import RwmError
from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion, StateInfo
from rwm.restore import StatePart, restore_to_directory
from rwm.s3 import S3
from rwm.s3.listing import discovery
from rwm.s3.listing.history import list_histories
from rwm.states.capture import capture_state
from rwm.storage import create_storage
from rwm.times import SECOND
from tests import repositories, restics
from tests.contract.buckets import at_once, unique
from tests.servers import Server

PLACES = [("index/", 0), ("data/", 0), ("data/", 1)]
"""Prefix, below the repository, and page before which a listing waits."""
BUSY = "sites/a/host3/"
IDLE = ["", "host1/", "host1/old/", "host2/", "sites/a/host4/", "sites/b/host3/", f"{BUSY}archive/", "x/1/2/3/", "z/"]
"""The other repositories, some inside another one's tree."""
PAGE = 4
SECONDS = 120.0
"""After which a wait fails, so that nothing hangs."""
ENVIRONMENT = {"RESTIC_PASSWORD": "x", "PATH": "/usr/local/bin:/usr/bin:/bin"}


class Loop:
    """Rounds of a backup of changed data and a prune that keeps one snapshot and repacks everything."""

    def __init__(self, restic: str, server: Server, location: Location, directory: Path) -> None:
        self.program = restic
        self.data = directory / "data"
        self.data.mkdir()
        self.repository = f"s3:{server.endpoint}/{location}"
        self.environment = server.environment("user1") | {"RESTIC_PASSWORD": "x", "RESTIC_COMPRESSION": "off"}
        self.random = random.Random(7)
        self.rounds = 0
        self.waits = 0
        self.failure = ""
        self._changed = threading.Condition()
        repositories.create_in(server.connect("user1"), str(location), "x")
        self.round()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def restic(self, *arguments: str) -> None:
        done = process.run([self.program, "-q", "-r", self.repository, *arguments], env=self.environment)
        assert done.returncode == 0, (arguments, done.stderr)

    def round(self) -> None:
        for number in self.random.sample(range(12), 5):
            (self.data / f"file{number}").write_bytes(self.random.randbytes(300_000))
        self.restic("backup", str(self.data))
        self.restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
        with self._changed:
            self.rounds += 1
            self._changed.notify_all()

    def wait_for_a_round(self) -> None:
        """Wait until a whole round has run, from its beginning to its end."""
        with self._changed:
            self.waits += 1
            goal = self.rounds + 2
            assert self._changed.wait_for(lambda: self.rounds >= goal or self.failure, SECONDS), "restic does not end"

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                self.round()
        except AssertionError as error:
            with self._changed:
                self.failure = str(error)
                self._changed.notify_all()

    def __enter__(self) -> Loop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def waiting(s3: S3, monkeypatch: pytest.MonkeyPatch, loop: Loop, prefix: str, page: int) -> S3:
    """The client with small pages, and a round of restic before this page of this prefix."""
    plain = s3.version_batches

    def batches(bucket: str, asked: str = "", *, page_size: int = PAGE) -> Iterator[Sequence[ObjectVersion]]:
        for number, batch in enumerate(plain(bucket, asked, page_size=PAGE)):
            if (asked, number) == (prefix, page):
                loop.wait_for_a_round()
            yield batch

    monkeypatch.setattr(s3, "version_batches", batches)
    return s3


def check_captures(restic: str, server: Server, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every state that is captured while restic writes and deletes passes restic's check."""
    admin, location = server.connect(), Location(unique("busy"))
    create_storage(admin, location.bucket, "user1")
    with Index.open(directory / "index.sqlite") as index:
        taken = capture_meanwhile(restic, server, location, directory, index, monkeypatch, PLACES)
        failures = [text for info in taken if (text := checked(restic, admin, index, info, directory / info.id, [""]))]
        assert not failures, "\n\n".join(failures)


def capture_meanwhile(
    restic: str,
    server: Server,
    busy: Location,
    directory: Path,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
    places: Sequence[tuple[str, int]],
) -> list[StateInfo]:
    """States of the whole bucket, captured while restic writes to the repository at ``busy``: one for each place."""
    taken: list[tuple[StateInfo, int]] = []
    with Loop(restic, server, busy, directory) as loop:
        for prefix, page in places:
            listing = waiting(server.connect(), monkeypatch, loop, prefix, page)
            info = capture_state(listing, index, Location(busy.bucket))
            taken.append((info, listing.server_time(busy.bucket)))
    assert not loop.failure
    assert loop.waits >= len(places)  # of several repositories, the packs of a large one are begun twice
    assert_written_meanwhile(server.connect(), busy, taken)
    return [info for info, _ in taken]


def test_captures_during_backup_and_prune_pass_restic_check(
    rgw: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_captures(restics.program("restic-debian"), rgw, tmp_path, monkeypatch)


@pytest.mark.slow
def test_they_pass_with_a_current_restic(rgw: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both run on SeaweedFS among ten repositories."""
    check_captures(restics.program("restic-current"), rgw, tmp_path, monkeypatch)


def check_ten_repositories(
    restic: str,
    server: Server,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_bounded: bool = False,
    check_all: bool = False,
) -> None:
    """Nine repositories are idle, and restic writes to the tenth. If ``is_bounded``, none of them is discovered."""
    admin, bucket = server.connect(), unique("ten")
    create_storage(admin, bucket, "user1")
    idle = fill_idle(restic, server.connect("user1"), bucket, directory / "idle")
    places = [(f"{BUSY}{name}", page) for name, page in PLACES]
    if is_bounded:
        monkeypatch.setattr(discovery, "MAX_DIRECTORIES", 0)
        places = [("sites/", page) for page in (0, 1, 2)]
    with Index.open(directory / "index.sqlite") as index:
        taken = capture_meanwhile(restic, server, Location(bucket, BUSY), directory, index, monkeypatch, places)
        for info in taken:
            entries = {entry.key: entry.version_id for entry in index.entries(info)}
            assert {key: entries.get(key) for key in idle} == idle
        # The idle ones are the same objects in all states.
        roots = [[BUSY, *(IDLE if check_all and info == taken[-1] else [])] for info in taken]
        failures = [
            text
            for info, prefixes in zip(taken, roots, strict=True)
            if (text := checked(restic, admin, index, info, directory / info.id, prefixes))
        ]
        assert not failures, "\n\n".join(failures)


def fill_idle(restic: str, s3: S3, bucket: str, directory: Path) -> dict[str, str]:
    """Make a repository, and copy it below each idle prefix. Returns the version id of each key."""
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "file").write_bytes(b"content")
    repository = directory / "repository"
    repositories.create(repository, "x")
    for command in (["backup", str(directory / "data")], ["check"]):
        done = process.run([restic, "-q", "--no-cache", "-r", str(repository), *command], env=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
    files = [path for path in repository.rglob("*") if path.is_file() and path.parent.name != "locks"]
    pairs = [(prefix + str(path.relative_to(repository)), path) for prefix in IDLE for path in files]
    versions = at_once(lambda pair: s3.put(bucket, pair[0], pair[1].read_bytes()), pairs)
    return dict(zip((key for key, _ in pairs), versions, strict=True))


def test_ten_repositories_pass_restic_check_while_one_is_written(
    seaweedfs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_ten_repositories(restics.program("restic-debian"), seaweedfs, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "program"), [("rgw", "restic-debian"), ("seaweedfs", "restic-current")])
def test_each_restic_checks_all_ten(
    name: str, program: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_ten_repositories(
        restics.program(program), request.getfixturevalue(name), tmp_path, monkeypatch, check_all=True
    )


@pytest.mark.slow
def test_repositories_beyond_the_bound_of_the_walk_pass_too(
    rgw: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_ten_repositories(restics.program("restic-debian"), rgw, tmp_path, monkeypatch, is_bounded=True)


def assert_written_meanwhile(s3: S3, location: Location, taken: list[tuple[StateInfo, int]]) -> None:
    """restic wrote and deleted packs, indexes and snapshots during captures, or the test would show nothing."""
    entries = [entry for part in list_histories(s3, location) for history in part for entry in history]
    for kind in map(location.key, ("data/", "index/", "snapshots/")):
        for is_marker in (False, True):
            times = [e.last_modified for e in entries if e.key.startswith(kind) and e.is_marker == is_marker]
            assert any(info.captured_at + SECOND <= at < ended for info, ended in taken for at in times), (
                f"nothing happened to {kind} during a capture (markers: {is_marker})"
            )


def checked(restic: str, s3: S3, index: Index, info: StateInfo, directory: Path, prefixes: Sequence[str]) -> str:
    """What `restic check` reports for repositories in the state, "" for sound ones with a snapshot each."""
    result = restore_to_directory(s3, StatePart(index, info), directory)
    assert not result.failures and result.objects == info.objects
    failures = []
    for repository in (directory / prefix for prefix in prefixes):
        for lock in (repository / "locks").glob("*"):  # a mount begins with an empty locks/ too
            lock.unlink()
        if not any((repository / "snapshots").iterdir()):
            failures.append(f"{info}: no snapshots in {repository}")
            continue
        check = [restic, "-r", str(repository), "--no-cache", "check", "--read-data"]
        try:  # restic goes on trying for minutes to read what is missing
            done = process.run(check, env=ENVIRONMENT, timeout=SECONDS)
        except RwmError as error:
            failures.append(f"{info}: {error}")
            continue
        if done.returncode:
            failures.append(f"{info}: {repository}: {done.stdout}{done.stderr}")
    return "\n".join(failures)
