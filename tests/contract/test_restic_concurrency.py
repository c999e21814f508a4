"""Captures taken while restic backs up, forgets and prunes: every one of them is a repository that passes its check.

This is what the capture rule is for. The listing is slowed down on purpose, so that restic writes and deletes between
the prefixes and between the pages of one.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm import process
from rwm.errors import RwmError
from rwm.index import Index
from rwm.model import ObjectVersion, StateInfo
from rwm.restore import restore_to_directory
from rwm.s3 import S3
from rwm.s3.listing.history import list_histories
from rwm.states.capture import capture_state
from rwm.storage import create_storage
from rwm.times import SECOND
from tests.contract.buckets import at_once, unique
from tests.servers import Server

CAPTURES = 6


class Loop:
    """Backs up changing data, and every time keeps the last snapshot only and repacks whatever it can."""

    def __init__(self, restic: str, server: Server, bucket: str, directory: Path) -> None:
        self.program = restic
        self.data = directory / "data"
        self.data.mkdir()
        self.repository = f"s3:{server.endpoint}/{bucket}"
        self.environment = server.environment("user1") | {"RESTIC_PASSWORD": "x", "RESTIC_COMPRESSION": "off"}
        self.random = random.Random(7)
        self.rounds = 0
        self.failure = ""
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
        self.rounds += 1

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                self.round()
        except AssertionError as error:
            self.failure = str(error)

    def __enter__(self) -> Loop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def slow_listing(s3: S3, monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
    """Small pages, with random pauses before each, up to ``pause`` seconds."""
    plain, chance = s3.versions, random.Random(11)

    def versions(bucket: str, prefix: str = "", *, page_size: int = 20) -> Iterator[ObjectVersion]:
        for number, version in enumerate(plain(bucket, prefix, page_size=20)):
            if number % 20 == 0:
                time.sleep(chance.uniform(0, pause))
            yield version

    monkeypatch.setattr(s3, "versions", versions)


@pytest.mark.slow
def test_every_captured_state_passes_restic_check(
    restic_program: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, bucket = server.connect(), unique("busy")
    create_storage(admin, bucket, "user1")
    index = Index.open(tmp_path / "index.sqlite")
    taken: list[tuple[StateInfo, int]] = []
    with Loop(restic_program, server, bucket, tmp_path) as loop:
        for number in range(CAPTURES):
            listing = server.connect()
            slow_listing(listing, monkeypatch, pause=number * 0.25)
            taken.append((capture_state(listing, index, bucket), listing.server_time(bucket)))
    assert not loop.failure
    assert loop.rounds >= 3
    assert_written_meanwhile(admin, bucket, taken)

    def verify(info: StateInfo) -> str:
        with Index.open(index.path, readonly=True) as own:
            return checked(restic_program, admin, own, info, tmp_path / info.id)

    failures = [text for text in at_once(verify, [info for info, _ in taken], threads=2) if text]
    assert not failures, "\n\n".join(failures)
    index.close()


def assert_written_meanwhile(s3: S3, bucket: str, taken: list[tuple[StateInfo, int]]) -> None:
    """Or the test would show nothing: restic wrote and deleted packs and indexes while states were captured."""
    entries = [entry for part in list_histories(s3, bucket) for history in part for entry in history]
    for kind in ("data/", "index/", "snapshots/"):
        for is_marker in (False, True):
            times = [e.last_modified for e in entries if e.key.startswith(kind) and e.is_marker == is_marker]
            assert any(info.captured_at + SECOND <= at < ended for info, ended in taken for at in times), (
                f"nothing happened to {kind} during a capture (markers: {is_marker})"
            )


def checked(restic: str, s3: S3, index: Index, info: StateInfo, directory: Path) -> str:
    """What restic finds wrong with the state; nothing, if it is a sound repository with a snapshot."""
    result = restore_to_directory(s3, index, info, directory)
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
