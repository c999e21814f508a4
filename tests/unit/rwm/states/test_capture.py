"""Capture: what was there at a second that is over, and everything that was born since; or nothing at all."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import AccessDenied, BadResponse, NotFound, Refused, UsageError
from rwm.index import Index
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.s3.listing.sibling_order import Level
from rwm.s3.versions import SETTLE
from rwm.statefile.canonical import file_key
from rwm.states.capture import capture_state
from rwm.times import SECOND
from tests.unit.memory import START, MemoryS3

BUCKET = "bucket1"


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.open(tmp_path / "index.sqlite")


def test_the_state_is_in_the_index_and_in_the_bucket(index: Index) -> None:
    s3 = MemoryS3(BUCKET)
    for key in ("config", "data/00/a", "snapshots/s"):
        s3.put(BUCKET, key, b"abc")
    info = capture_state(s3, index, Location(BUCKET), outcome="partial", origin="backup")
    assert index.states(Location(BUCKET)) == [info]
    assert (info.objects, info.bytes, info.origin, info.outcome) == (3, 9, "backup", "partial")
    assert [entry.key for entry in index.entries(info)] == ["config", "data/00/a", "snapshots/s"]
    copy = gzip.decompress(s3.get(BUCKET, file_key(info)))
    assert hashlib.sha256(copy).hexdigest() == info.id


def test_it_is_of_a_whole_second_that_is_over_by_the_clock_of_the_server(index: Index) -> None:
    s3 = MemoryS3(BUCKET)
    s3.now = START + 300
    info = capture_state(s3, index, Location(BUCKET))
    assert info.captured_at == START
    assert s3.now > info.captured_at + SECOND


def test_our_own_objects_are_never_part_of_it(index: Index) -> None:
    s3 = MemoryS3(BUCKET)
    s3.put(BUCKET, "config", b"1")
    s3.put(BUCKET, "rwm/states/forged", b"1")
    capture_state(s3, index, Location(BUCKET))
    s3.now += 5000
    assert [entry.key for entry in index.entries(capture_state(s3, index, Location(BUCKET)))] == ["config"]


class Busy(MemoryS3):
    """Somebody deletes, overwrites and writes while the listing runs."""

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        self.now += 5000
        self.delete(bucket, "data/00/deleted")
        self.put(bucket, "data/00/overwritten", b"garbage")
        self.put(bucket, "data/00/born", b"b")
        self.put(bucket, "data/00/born", b"later")
        return super().level(bucket, prefix, page_size=page_size)


def test_what_changes_during_a_capture_is_as_it_was_and_what_is_born_is_kept(index: Index) -> None:
    s3 = Busy(BUCKET)
    s3.put(BUCKET, "data/00/deleted", b"d")
    s3.put(BUCKET, "data/00/overwritten", b"o")
    found = {
        entry.key: s3.bodies[entry.version_id] for entry in index.entries(capture_state(s3, index, Location(BUCKET)))
    }
    assert found == {"data/00/deleted": b"d", "data/00/overwritten": b"o", "data/00/born": b"b"}


events = st.lists(st.tuples(st.sampled_from(["a", "d/a", "d/b"]), st.booleans(), st.integers(0, 2)), max_size=8)


@given(events=events, second=st.integers(0, 16))
def test_the_past_is_what_a_plain_listing_showed_then(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, bool, int]], second: int
) -> None:
    s3 = MemoryS3(BUCKET)
    shown: dict[int, dict[str, str]] = {}
    for key, deleted, pause in events:
        if deleted:
            s3.delete(BUCKET, key)
        else:
            s3.put(BUCKET, key, b"1")
        shown[(s3.now - START) // SECOND] = s3.present(BUCKET)
        s3.now += pause * SECOND
    s3.now += 20 * SECOND
    with Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as index:
        info = capture_state(s3, index, Location(BUCKET), at=START + second * SECOND + 999, origin="past")
        then = max((moment for moment in shown if moment <= second), default=None)
        expected = {} if then is None else shown[then]
        assert {entry.key: entry.version_id for entry in index.entries(info)} == expected
        assert info.captured_at == START + second * SECOND


def test_its_time_is_of_the_clock_of_the_objects_where_the_gateway_has_another(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = MemoryS3(BUCKET)
    s3.put(BUCKET, "config", b"1")
    slept: list[float] = []
    monkeypatch.setattr(s3, "server_time", lambda bucket: START + 3_600_000)
    monkeypatch.setattr(s3, "stamp_time", lambda bucket, key: START + 5300)
    monkeypatch.setattr("rwm.s3.clock.time.sleep", slept.append)
    assert capture_state(s3, index, Location(BUCKET)).captured_at == START + 5000
    assert slept == [pytest.approx(0.7 + SETTLE)]
    with pytest.raises(UsageError, match="is not over"):
        capture_state(s3, index, Location(BUCKET), at=START + 5000)


@pytest.mark.parametrize("prefix", ["", "host1/"])
def test_a_key_whose_versions_have_no_known_order_is_left_out(index: Index, prefix: str) -> None:
    s3 = MemoryS3(BUCKET)
    for key in ("host1/config", "host1/data/00/a", "host1/snapshots/s"):
        s3.put(BUCKET, key, b"1")
    for key in ("host1/data/00/a", "host2/x"):
        s3.unknown_keys.add(BUCKET, ObjectVersion(key, "null", False, False, 1, "e", START), "ambiguous")
    s3.unknown_keys.add(BUCKET, ObjectVersion("host1/config", "v9", False, False, 1, "e", START), "garbled")
    info = capture_state(s3, index, Location(BUCKET, prefix))
    assert [entry.key for entry in index.entries(info)] == ["host1/config", "host1/snapshots/s"]
    assert (info.objects, info.bytes) == (2, 2)


def test_a_past_state_has_what_was_there_before_the_order_was_lost(index: Index) -> None:
    """A ``null`` version that SeaweedFS lists last changes nothing of what was written before it."""
    s3 = MemoryS3(BUCKET)
    s3.put(BUCKET, "config", b"1")
    null = ObjectVersion("config", "null", True, False, 1, "e", START + 5000)
    s3.buckets[BUCKET]["config"].append(null)
    s3.unknown_keys.add(BUCKET, null, "ambiguous")
    s3.now = START + 60_000
    objects = [capture_state(s3, index, Location(BUCKET), at=START + at).objects for at in (0, 4000, 5000, 9000)]
    assert objects == [1, 1, 0, 0]
    s3.unknown_keys.add(BUCKET, null._replace(version_id="v9"), "ambiguous")
    assert capture_state(s3, index, Location(BUCKET), at=START).objects == 0, "another one is listed wrongly too"


class TestNothingIsRecorded:
    def test_without_versioning(self, index: Index) -> None:
        s3 = MemoryS3(BUCKET)
        s3.states[BUCKET] = ""
        with pytest.raises(Refused, match="no versioning") as error:
            capture_state(s3, index, Location(BUCKET))
        assert "rwm storage check bucket1" in error.value.hint

    @pytest.mark.parametrize("later", [0, 999, 3_600_000])
    def test_of_a_second_that_is_not_over(self, index: Index, later: int) -> None:
        with pytest.raises(UsageError, match="is not over on the server"):
            capture_state(MemoryS3(BUCKET), index, Location(BUCKET), at=START + later)

    def test_of_an_unknown_bucket(self, index: Index) -> None:
        with pytest.raises(NotFound):
            capture_state(MemoryS3(), index, Location(BUCKET))

    def test_when_the_clock_of_the_server_stands_still(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        s3 = MemoryS3(BUCKET)
        monkeypatch.setattr("rwm.s3.versions._TICK_LIMIT", 0.01)
        monkeypatch.setattr(s3, "server_time", lambda bucket: START)
        with pytest.raises(BadResponse, match="stands still"):
            capture_state(s3, index, Location(BUCKET))

    def test_when_the_listing_breaks_off(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        s3 = MemoryS3(BUCKET)
        s3.put(BUCKET, "data/00/a", b"1")

        def broken(*_: object, **__: object) -> None:
            raise BadResponse("ListObjectVersions bucket1: cut off")

        monkeypatch.setattr(s3, "versions", broken)
        with pytest.raises(BadResponse):
            capture_state(s3, index, Location(BUCKET))

    def test_when_the_bucket_takes_no_copy(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        s3 = MemoryS3(BUCKET)

        def denied(*_: object) -> str:
            raise AccessDenied("PutObject: AccessDenied")

        monkeypatch.setattr(s3, "put", denied)
        with pytest.raises(AccessDenied):
            capture_state(s3, index, Location(BUCKET))

    @pytest.fixture(autouse=True)
    def _afterwards(self, index: Index) -> object:
        yield
        assert index.states() == []


def test_sizes_that_no_index_has_room_for_are_refused_before_anything_is_written(index: Index) -> None:
    s3 = MemoryS3("bucket1")
    for key, size in (("a", 1 << 62), ("b", (1 << 62) - 1)):
        s3.put("bucket1", key, b"1")
        s3.buckets["bucket1"][key] = [s3.buckets["bucket1"][key][0]._replace(size=size)]
    assert capture_state(s3, index, Location("bucket1")).bytes == (1 << 63) - 1
    recorded, present = index.states(), s3.present("bucket1")
    s3.put("bucket1", "c", b"1")
    with pytest.raises(BadResponse, match=f"3 objects of {1 << 63} bytes"):
        capture_state(s3, index, Location("bucket1"))
    assert index.states() == recorded
    assert s3.present("bucket1").keys() == {*present, "c"}


def test_progress_counts_every_version(index: Index) -> None:
    s3 = MemoryS3(BUCKET)
    for _ in range(3):
        s3.put(BUCKET, "config", b"1")
    s3.delete(BUCKET, "data/x")
    counted: list[tuple[int, int]] = []
    capture_state(s3, index, Location(BUCKET), progress=lambda count, size: counted.append((count, size)))
    assert [sum(column) for column in zip(*counted, strict=True)] == [4, 3]


class ReadOnly(MemoryS3):
    """Denies each upload."""

    def upload(self, bucket: str, key: str, path: Path) -> None:
        raise AccessDenied("no")


def test_keys_that_may_not_write_record_in_the_index_alone_where_no_file_is_needed(index: Index) -> None:
    s3, said = ReadOnly(BUCKET), list[str]()
    s3.put(BUCKET, "config", b"abc")
    with pytest.raises(AccessDenied):
        capture_state(s3, index, Location(BUCKET))
    assert index.states() == []
    info = capture_state(s3, index, Location(BUCKET), needs_file=False, warn=said.append)
    assert index.states() == [info]
    assert index.ledger.stored_file(info) is None
    assert said == [f"state {info.id[:12]} is in the index alone: these keys may not write to bucket {BUCKET}"]
