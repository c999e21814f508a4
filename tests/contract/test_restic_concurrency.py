"""Captures taken while restic backs up, forgets and prunes: each captured state passes `restic check`.

Each listing waits at one point for restic, so that restic writes and deletes between two prefixes or two pages.
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
from rwm.s3.listing.history import list_histories
from rwm.states.capture import capture_state
from rwm.storage import create_storage
from rwm.times import SECOND
from tests import restics
from tests.contract.buckets import unique
from tests.servers import Server

PLACES = [("index/", 0), ("data/", 0), ("data/", 1)]
"""Prefix and page before which a listing waits."""
PAGE = 4
SECONDS = 120.0
"""After which a wait fails, so that nothing hangs."""


class Loop:
    """Rounds of a backup of changed data and a prune that keeps one snapshot and repacks everything."""

    def __init__(self, restic: str, server: Server, bucket: str, directory: Path) -> None:
        self.program = restic
        self.data = directory / "data"
        self.data.mkdir()
        self.repository = f"s3:{server.endpoint}/{bucket}"
        self.environment = server.environment("user1") | {"RESTIC_PASSWORD": "x", "RESTIC_COMPRESSION": "off"}
        self.random = random.Random(7)
        self.rounds = 0
        self.waits = 0
        self.failure = ""
        self._changed = threading.Condition()
        self.restic("init")
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
    admin, bucket = server.connect(), unique("busy")
    create_storage(admin, bucket, "user1")
    taken: list[tuple[StateInfo, int]] = []
    with Index.open(directory / "index.sqlite") as index:
        with Loop(restic, server, bucket, directory) as loop:
            for prefix, page in PLACES:
                listing = waiting(server.connect(), monkeypatch, loop, prefix, page)
                taken.append((capture_state(listing, index, Location(bucket)), listing.server_time(bucket)))
        assert not loop.failure
        assert loop.waits == len(PLACES)
        assert_written_meanwhile(admin, bucket, taken)
        failures = [text for info, _ in taken if (text := checked(restic, admin, index, info, directory / info.id))]
        assert not failures, "\n\n".join(failures)


def test_captures_during_backup_and_prune_pass_restic_check(
    rgw: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_captures(restics.program("restic-debian"), rgw, tmp_path, monkeypatch)


@pytest.mark.slow
def test_they_pass_with_each_restic_on_each_server(
    restic_program: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_captures(restic_program, server, tmp_path, monkeypatch)


def assert_written_meanwhile(s3: S3, bucket: str, taken: list[tuple[StateInfo, int]]) -> None:
    """restic wrote and deleted packs, indexes and snapshots during captures, or the test would show nothing."""
    entries = [entry for part in list_histories(s3, Location(bucket)) for history in part for entry in history]
    for kind in ("data/", "index/", "snapshots/"):
        for is_marker in (False, True):
            times = [e.last_modified for e in entries if e.key.startswith(kind) and e.is_marker == is_marker]
            assert any(info.captured_at + SECOND <= at < ended for info, ended in taken for at in times), (
                f"nothing happened to {kind} during a capture (markers: {is_marker})"
            )


def checked(restic: str, s3: S3, index: Index, info: StateInfo, directory: Path) -> str:
    """What `restic check` reports for the state, "" for a sound repository with a snapshot."""
    result = restore_to_directory(s3, StatePart(index, info), directory)
    assert not result.failures and result.objects == info.objects
    for lock in (directory / "locks").glob("*"):  # a mount begins with an empty locks/ too
        lock.unlink()
    if not any((directory / "snapshots").iterdir()):
        return f"{info}: no snapshots"
    environment = {"RESTIC_PASSWORD": "x", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    check = [restic, "-r", str(directory), "--no-cache", "check", "--read-data"]
    try:  # restic goes on trying for minutes to read what is missing
        done = process.run(check, env=environment, timeout=60)
    except RwmError as error:
        return f"{info}: {error}"
    return f"{info}: {done.stdout}{done.stderr}" if done.returncode else ""
