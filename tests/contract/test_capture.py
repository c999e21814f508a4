"""Captures on the real servers, compared with a model of the bucket."""

from __future__ import annotations

import gzip
import hashlib
import json
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

from rwm.config import S3Settings
from rwm.errors import Refused, UsageError
from rwm.index import Index
from rwm.layout import STATES_PREFIX
from rwm.location import Location
from rwm.model import ObjectVersion, StateInfo
from rwm.s3 import S3, connect
from rwm.s3.listing.phases import list_in_phases
from rwm.statefile.canonical import delta_key, file_key
from rwm.states.capture import capture_state
from rwm.times import SECOND
from tests.contract.buckets import Model, next_second, unique, versioned
from tests.servers import Server


@pytest.fixture
def s3(server: Server) -> S3:
    """The admin's client."""
    return server.connect()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def content(index: Index, info: StateInfo) -> dict[str, str]:
    """Version id by key."""
    return {entry.key: entry.version_id for entry in index.entries(info)}


def some_history(s3: S3) -> Model:
    model = Model(s3, versioned(s3, "capture"))
    for key in ("config", "data/00/a", "data/00/b", "data/ff/c", "index/i", "keys/k", "snapshots/s", "резерв/копия"):
        model.put(key, key.encode())
    model.put("data/00/a", b"again")
    model.delete("data/00/b")
    model.delete("locks/never")
    model.put("index/i", b"")
    return model


def test_a_state_equals_the_plain_listing(s3: S3, index: Index) -> None:
    model = some_history(s3)
    counted: list[tuple[int, int]] = []
    before = s3.server_time(model.bucket)
    info = capture_state(s3, index, Location(model.bucket), progress=lambda *counts: counted.append(counts))
    assert before <= info.captured_at < s3.server_time(model.bucket)
    assert content(index, info) == model.current()
    sizes = {key: len(history[0][1] or b"") for key, history in model.histories.items() if key in model.current()}
    assert {entry.key: entry.size for entry in index.entries(info)} == sizes
    assert (info.bucket, info.origin, info.outcome) == (model.bucket, "capture", None)
    assert (info.objects, info.bytes) == (len(sizes), sum(sizes.values()))
    assert sum(count for count, _ in counted) == len(model.expected())
    assert index.states(Location(model.bucket)) == [info]


def test_entries_equal_head_object(s3: S3, index: Index) -> None:
    model = some_history(s3)
    for entry in index.entries(capture_state(s3, index, Location(model.bucket))):
        head = s3.client.head_object(Bucket=model.bucket, Key=entry.key, VersionId=entry.version_id)
        assert (entry.size, entry.etag) == (head["ContentLength"], head["ETag"].strip('"'))
        assert entry.last_modified // SECOND == int(head["LastModified"].timestamp())


def test_an_empty_bucket_has_an_empty_state(s3: S3, index: Index) -> None:
    bucket = versioned(s3, "capture")
    info = capture_state(s3, index, Location(bucket))
    assert (info.objects, info.bytes, content(index, info)) == (0, 0, {})


def test_null_versions_belong_to_a_state(s3: S3, index: Index) -> None:
    bucket = unique("capture")
    s3.create_bucket(bucket)
    s3.put(bucket, "stays", b"1")
    s3.put(bucket, "replaced", b"1")
    s3.enable_versioning(bucket)
    version = s3.put(bucket, "replaced", b"2")
    assert content(index, capture_state(s3, index, Location(bucket))) == {"stays": "null", "replaced": version}


def test_deleting_a_marker_restores_the_key(s3: S3, index: Index) -> None:
    model = Model(s3, versioned(s3, "capture"))
    version = model.put("key", b"1")
    marker = model.delete("key")
    assert content(index, capture_state(s3, index, Location(model.bucket))) == {}
    assert not s3.delete_versions(model.bucket, [("key", marker)])
    assert content(index, capture_state(s3, index, Location(model.bucket))) == {"key": version}


# --- the past ------------------------------------------------------------------------------------------------


def test_every_second_of_the_past(s3: S3, index: Index) -> None:
    model = Model(s3, versioned(s3, "past"))
    born = s3.server_time(model.bucket) - SECOND
    then: dict[int, dict[str, str]] = {born: {}}
    steps: list[Callable[[], object]] = [
        lambda: [model.put(key, b"1") for key in ("config", "data/00/a", "data/00/b")],
        lambda: [model.put("data/00/a", b"22"), model.put("data/00/a", b"333")],
        lambda: [model.delete("data/00/a"), model.delete("data/00/b")],
        lambda: [model.put("data/00/a", b"4444"), model.delete("config")],
        lambda: [model.put("config", b"5"), model.delete("config"), model.put("index/i", b"6")],
    ]
    for step in steps:
        step()
        current = model.current()
        then[next_second(s3, model.bucket)] = current
    assert len({tuple(sorted(current.items())) for current in then.values()}) == len(steps) + 1
    captured = {
        second: capture_state(s3, index, Location(model.bucket), at=second + 999 * (number % 2), origin="past")
        for number, second in enumerate(reversed(list(then)))
    }
    for second, info in captured.items():
        assert (info.captured_at, info.origin) == (second, "past")
        assert content(index, info) == then[second]
    now = capture_state(s3, index, Location(model.bucket))
    assert content(index, now) == then[max(then)]


def test_the_same_second_again_is_the_same_state(s3: S3, index: Index) -> None:
    model = some_history(s3)
    second = next_second(s3, model.bucket)
    first = capture_state(s3, index, Location(model.bucket), at=second, origin="past")
    model.put("config", b"later")
    assert capture_state(s3, index, Location(model.bucket), at=second, origin="past") == first
    assert index.states() == [first]


def test_the_future_and_the_running_second_are_refused(s3: S3, index: Index) -> None:
    bucket = versioned(s3, "capture")
    for ahead in (3600 * SECOND, 2 * SECOND):
        with pytest.raises(UsageError, match="not over"):
            capture_state(s3, index, Location(bucket), at=s3.server_time(bucket) + ahead)
    while True:  # the server's second may end between the two requests
        now = s3.server_time(bucket)
        try:
            capture_state(s3, index, Location(bucket), at=now)
        except UsageError:
            break
        assert s3.server_time(bucket) > now


# --- what is written meanwhile ---------------------------------------------------------------------------


def write_meanwhile(s3: S3, monkeypatch: pytest.MonkeyPatch, before: str, write: Callable[[], object]) -> None:
    """Call ``write`` once, when T0 is over, just before the listing of the prefix ``before``."""
    plain, done = s3.version_batches, list[bool]()

    def batches(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        if prefix == before and not done:
            done.append(True)
            write()
        yield from plain(bucket, prefix, page_size=page_size)

    monkeypatch.setattr(s3, "version_batches", batches)


def test_writes_during_a_capture_change_no_entry_and_lose_no_key(
    server: Server, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = server.connect()
    model = Model(server.connect(), versioned(s3, "capture"))
    for key in ("data/00/changed", "data/00/deleted", "data/00/stays", "data/00/hidden", "index/i"):
        model.put(key, b"1")
    model.delete("data/00/hidden")
    there = model.current()
    born: dict[str, str] = {}

    def write() -> None:
        model.put("data/00/changed", b"poison")
        model.delete("data/00/deleted")
        model.put("data/00/hidden", b"again")
        born["data/00/born"] = model.put("data/00/born", b"first")
        model.put("data/00/born", b"second")
        born["data/00/short"] = model.put("data/00/short", b"first")
        model.delete("data/00/short")
        model.delete("data/00/never")
        model.put("index/too late", b"its prefix is listed already")

    write_meanwhile(s3, monkeypatch, "data/", write)
    info = capture_state(s3, index, Location(model.bucket))
    assert born and content(index, info) == there | born


def test_keys_created_later_are_not_in_a_past_state(
    server: Server, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = server.connect()
    model = some_history(server.connect())
    there, second = model.current(), next_second(s3, model.bucket)
    write_meanwhile(s3, monkeypatch, "data/", lambda: model.put("data/00/born", b"1"))
    assert content(index, capture_state(s3, index, Location(model.bucket), at=second, origin="past")) == there
    assert "data/00/born" in model.histories


def test_writes_before_the_call_are_in_the_state(s3: S3, index: Index) -> None:
    """At any time of a second."""
    model = Model(s3, versioned(s3, "capture"))
    for number in range(3):
        time.sleep(0.3)
        model.put("config", b"x" * number)
        assert content(index, capture_state(s3, index, Location(model.bucket))) == model.current()


def test_snapshots_come_first_and_data_last(s3: S3) -> None:
    model = some_history(s3)
    model.put("rwm/states/forged", b"1")

    def read(batches: Iterable[Sequence[ObjectVersion]], *, repository: str | None) -> Iterator[str]:
        return (entry.key for batch in batches for entry in batch)

    keys = [key for part in list_in_phases(s3, Location(model.bucket), read, concurrency=1) for key in part]
    directories = [name for name, _ in groupby(key.rpartition("/")[0] for key in keys)]
    assert directories[:3] == ["", "snapshots", "index"]
    assert sorted(directories[3:-2]) == ["keys", "locks", "резерв"]  # listed at once
    assert directories[-2:] == ["data/00", "data/ff"]


# --- the file in the bucket ------------------------------------------------------------------------------


def test_the_state_file_hashes_to_its_id(s3: S3, index: Index, tmp_path: Path) -> None:
    model = some_history(s3)
    info = capture_state(s3, index, Location(model.bucket), outcome="partial")
    (version,) = s3.versions(model.bucket, "rwm/")
    assert version.key == file_key(info)
    assert re.fullmatch(STATES_PREFIX + r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ-[0-9a-f]{64}\.jsonl\.gz", version.key)
    packed = tmp_path / "state.gz"
    packed.write_bytes(s3.get(model.bucket, version.key, version.version_id))
    # What a person types; a pipe is all that it takes.
    with os.popen(f"zcat {packed} | sha256sum") as told:
        assert told.read().split() == [info.id, "-"]
    lines = gzip.decompress(packed.read_bytes()).splitlines()
    assert hashlib.sha256(gzip.decompress(packed.read_bytes())).hexdigest() == info.id
    header, *entries = map(json.loads, lines)
    assert header["outcome"] == "partial" and header["objects"] == len(entries) == info.objects
    assert {entry["key"]: entry["version_id"] for entry in entries} == model.current()
    assert [entry["key"] for entry in entries] == sorted(model.current())


def test_own_objects_are_not_in_a_state(s3: S3, index: Index) -> None:
    model = some_history(s3)
    for key in ("rwm/x", "rwm/states/y"):
        s3.put(model.bucket, key, b"1")
    model.put("rwm", b"a file of that name is somebody's")
    model.put("rwmfs/x", b"1")
    for _ in range(2):
        assert content(index, capture_state(s3, index, Location(model.bucket))) == model.current()
    assert len([*s3.versions(model.bucket, STATES_PREFIX)]) == 3


# --- what is refused, cut off, or done twice -----------------------------------------------------------------


def test_a_bucket_without_versioning_is_refused(s3: S3, index: Index) -> None:
    bucket = unique("plain")
    s3.create_bucket(bucket)
    s3.put(bucket, "key", b"1")
    with pytest.raises(Refused, match="no versioning"):
        capture_state(s3, index, Location(bucket))
    assert index.states() == []
    assert [version.key for version in s3.versions(bucket)] == ["key"]


def _capture_and_hang(settings: S3Settings, bucket: str, path: Path, stage: str, ready: Path) -> None:
    """In a child: a capture that hangs during its listing or recording."""
    s3 = connect(settings)

    def hang(*_: object) -> None:
        ready.touch()
        time.sleep(600)

    index = Index.open(path)
    if stage == "recording":
        index._connection.create_function("hang", 0, hang)
        index._connection.execute("CREATE TEMP TRIGGER stop BEFORE INSERT ON main.state BEGIN SELECT hang(); END")
    capture_state(s3, index, Location(bucket), progress=hang if stage == "listing" else lambda *_: None)


@pytest.mark.parametrize("stage", ["listing", "recording"])
def test_kill_9_leaves_the_last_good_index(s3: S3, server: Server, tmp_path: Path, stage: str) -> None:
    model, path, ready = some_history(s3), tmp_path / "index.sqlite", tmp_path / "ready"
    with Index.open(path) as index:
        before = capture_state(s3, index, Location(model.bucket))
        kept = content(index, before)
    model.put("data/00/new", b"1")
    model.delete("config")
    settings = S3Settings(server.endpoint, server.accounts["admin"])
    child = multiprocessing.get_context("spawn").Process(
        target=_capture_and_hang, args=(settings, model.bucket, path, stage, ready)
    )
    child.start()
    while not ready.exists():
        assert child.is_alive()
        time.sleep(0.02)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with Index.open(path) as index:
        assert index.states() == [before]
        assert content(index, before) == kept
        after = capture_state(s3, index, Location(model.bucket))
        assert content(index, after) == model.current()
        assert index.states() == [before, after]


def _capture(settings: S3Settings, bucket: str, path: Path) -> None:
    with Index.open(path) as index:
        capture_state(connect(settings), index, Location(bucket))


def test_concurrent_captures(s3: S3, server: Server, tmp_path: Path) -> None:
    model, path = some_history(s3), tmp_path / "index.sqlite"
    settings = S3Settings(server.endpoint, server.accounts["admin"])
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_capture, args=(settings, model.bucket, path)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    with Index.open(path) as index:
        states = index.states(Location(model.bucket))
        assert 1 <= len(states) <= 2
        for info in states:
            assert content(index, info) == model.current()
            copies = {version.key for version in s3.versions(model.bucket, STATES_PREFIX)}
            assert copies & {file_key(info), delta_key(info)}  # a delta, if the other one had recorded its own before
