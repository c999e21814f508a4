"""Verification on real servers: attacks with the machine's keys, versions that are gone, interruptions, wrong keys."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rwm.config import Credentials, S3Settings
from rwm.errors import AccessDenied
from rwm.index import Index
from rwm.location import Location
from rwm.model import StateInfo
from rwm.s3 import S3, connect
from rwm.states import capture_state
from rwm.verify import (
    ContentRun,
    Problem,
    VerifyReport,
    list_state,
    read_content,
    report_content,
    verify_structure,
)
from tests.contract.buckets import at_once, versioned
from tests.servers import Server

PACKS = 12
SIZE = 1000


def named(directory: str, content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    return f"{directory}/{name[:2]}/{name}" if directory == "data" else f"{directory}/{name}"


class Repository:
    """A bucket with files whose names are true, and an index."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.s3 = server.connect()
        self.bucket = versioned(self.s3, "verify")
        self.path = directory / "index.sqlite"
        self.settings = S3Settings(server.endpoint, server.accounts["admin"], server.region)
        contents = {named(part, part.encode() * 10): part.encode() * 10 for part in ("keys", "index", "snapshots")}
        packs = [number.to_bytes(2, "big") * (SIZE // 2) for number in range(PACKS)]
        self.contents = contents | {named("data", pack): pack for pack in packs}
        self.keys = sorted(self.contents)
        self.packs = [key for key in self.keys if key.startswith("data/")]
        self.s3.put(self.bucket, "config", b"config")
        at_once(lambda key: self.s3.put(self.bucket, key, self.contents[key]), self.keys)

    def capture(self) -> StateInfo:
        with Index.open(self.path) as index:
            return capture_state(self.s3, index, Location(self.bucket))

    def verify(self, info: StateInfo, *, content: bool = True) -> tuple[VerifyReport, set[tuple[str, str]]]:
        """The report, and kind and key of each problem."""
        return verify(self.s3, self.path, info, content=content)


def verify(s3: S3, path: Path, info: StateInfo, *, content: bool = True) -> tuple[VerifyReport, set[tuple[str, str]]]:
    problems: list[Problem] = []
    with Index.open(path) as index, closing(list_state(s3, index, info)) as listed:
        report = VerifyReport(info, "content", s3.server_time(info.bucket), problems.append)
        verify_structure(listed, report)
        if content:
            report.begin_content()
            run = ContentRun(connections=3)
            report_content(listed, report, run, read_content(s3, index, listed, report, run))
    return report, {(problem.kind, problem.key) for problem in problems}


@pytest.fixture
def repository(server: Server, tmp_path: Path) -> Repository:
    """On each server."""
    return Repository(server, tmp_path)


@pytest.fixture
def on_seaweedfs(seaweedfs: Server, tmp_path: Path) -> Repository:
    """For what does not depend on the server."""
    return Repository(seaweedfs, tmp_path)


UNPROVED = ("unproved", "config")


def test_an_attack_leaves_the_older_state_whole_and_is_found_in_the_newer_one(repository: Repository) -> None:
    s3, bucket = repository.s3, repository.bucket
    before = repository.capture()
    report, problems = repository.verify(before)
    assert (problems, report.checked, report.proved) == ({UNPROVED}, PACKS + 4, PACKS + 3)
    same_size, truncated = repository.packs[0], next(key for key in repository.keys if key.startswith("keys/"))
    s3.put(bucket, same_size, os.urandom(SIZE))
    s3.put(bucket, truncated, repository.contents[truncated][:5])
    s3.delete(bucket, repository.packs[1])
    after = repository.capture()
    report, problems = repository.verify(before)
    assert (problems, report.checked) == ({UNPROVED}, 1), "what was read is not read again"
    assert repository.verify(after, content=False)[1] == set(), "a listing shows what is there, not what it should be"
    report, problems = repository.verify(after)
    assert problems == {UNPROVED, ("wrong", same_size), ("wrong", truncated)}
    assert report.checked == 3


def test_versions_that_are_gone_are_missing(repository: Repository) -> None:
    s3, bucket = repository.s3, repository.bucket
    info = repository.capture()
    gone = [repository.packs[0], repository.packs[5]]
    versions = {version.key: version.version_id for version in s3.versions(bucket)}
    s3.put(bucket, gone[0], repository.contents[gone[0]])  # the same content again is another version
    assert s3.delete_versions(bucket, [(key, versions[key]) for key in gone]) == []
    for content in (False, True):
        report, problems = repository.verify(info, content=content)
        assert problems - {UNPROVED} == {("missing", key) for key in gone}
        assert report.faults == 2


def test_a_version_is_missing_if_it_is_deleted_between_listing_and_reading(repository: Repository) -> None:
    s3, bucket, key = repository.s3, repository.bucket, repository.packs[0]
    info = repository.capture()
    (version,) = s3.versions(bucket, key)
    stream = s3.stream

    def deleting(bucket: str, key: str, version_id: str | None = None, etag: str | None = None) -> Iterator[bytes]:
        if key == version.key:
            s3.delete_versions(bucket, [(key, version.version_id)])
        return stream(bucket, key, version_id, etag)

    s3.stream = deleting  # type: ignore[method-assign]
    assert repository.verify(info)[1] == {UNPROVED, ("missing", key)}


def test_wrong_keys_are_access_denied(server: Server, repository: Repository) -> None:
    info = repository.capture()
    wrong = connect(S3Settings(server.endpoint, Credentials("nobody", "wrong-secret"), server.region))
    with pytest.raises(AccessDenied):
        verify(wrong, repository.path, info)
    assert repository.verify(info)[0].proved == PACKS + 3


def _verify_until(settings: S3Settings, path: Path, info: StateInfo, count: int, ready: Path) -> None:
    """Verify, and hang after so many versions were recorded."""
    s3 = connect(settings)
    with Index.open(path) as index, closing(list_state(s3, index, info)) as listed:
        record, recorded = index.verifications.record_content, 0

        def counting(bucket: str, results: list, at: int, by: str) -> None:  # type: ignore[type-arg]
            nonlocal recorded
            record(bucket, results, at, by)
            recorded += len(results)
            if recorded >= count:
                ready.touch()
                time.sleep(600)

        index.verifications.record_content = counting  # type: ignore[method-assign, assignment]
        report = VerifyReport(info, "content", 0, print)
        read_content(s3, index, listed, report, ContentRun(connections=1))


def test_a_killed_run_is_continued(on_seaweedfs: Repository, tmp_path: Path) -> None:
    info, ready = on_seaweedfs.capture(), tmp_path / "ready"
    child = multiprocessing.get_context("spawn").Process(
        target=_verify_until, args=(on_seaweedfs.settings, on_seaweedfs.path, info, 5, ready)
    )
    child.start()
    while not ready.exists():
        assert child.is_alive()
        time.sleep(0.02)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    report, problems = on_seaweedfs.verify(info)
    assert (problems, report.proved) == ({UNPROVED}, PACKS + 3)
    assert report.checked <= PACKS + 4 - 5


def _verify(settings: S3Settings, path: Path, info: StateInfo) -> None:
    report, _ = verify(connect(settings), path, info)
    assert report.proved == PACKS + 3


def test_two_at_once(on_seaweedfs: Repository) -> None:
    info = on_seaweedfs.capture()
    context = multiprocessing.get_context("spawn")
    start: Callable[[], multiprocessing.process.BaseProcess] = lambda: context.Process(  # noqa: E731
        target=_verify, args=(on_seaweedfs.settings, on_seaweedfs.path, info)
    )
    children = [start(), start()]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert on_seaweedfs.verify(info)[0].checked == 1
