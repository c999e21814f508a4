"""Sync imports the state files of a bucket, and verifies only what the bucket's history confirms."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import AccessDenied, S3Error, StateNotFound, Unreachable
from rwm.index import Index
from rwm.location import Location
from rwm.model import Entry, StateInfo
from rwm.prune import execute_prune, plan_prune
from rwm.retention import select_kept_states
from rwm.s3.listing import RecordedLister
from rwm.statefile.canonical import FileName, canonical_form, delta_key, file_key, identified
from rwm.statefile.delta import write_delta
from rwm.states.capture import capture_state
from rwm.states.comparison import ComparisonResult
from rwm.states.scopes import _upload_times
from rwm.states.state_file import StateFile
from rwm.states.sync import (
    KeptListing,
    SyncResult,
    compare_with_history,
    list_state_files,
    new_state_files,
    sync_states,
)
from rwm.times import DAY, iso
from tests.keeping import keep_last
from tests.unit.memory import START, MemoryS3
from tests.unit.states import changes

BUCKET = "bucket1"
LISTINGS = [("level", ""), ("level", "large/"), ("versions", "rwm/")]
"""The requests of a sync that finds nothing new."""


class RecordingS3(MemoryS3):
    """Records requests."""

    requests: list[tuple[str, str]] = []  # noqa: RUF012 - replaced in each object

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.startswith("_") and callable(found):

            def called(*arguments: Any, **named: Any) -> Any:
                self.requests.append((name, arguments[1] if len(arguments) > 1 else ""))
                return found(*arguments, **named)

            return called
        return found


@pytest.fixture
def s3() -> RecordingS3:
    s3 = RecordingS3(BUCKET)
    s3.requests = []
    for key in ("config", "keys/k", "data/00/a", "data/00/b", *(f"large/{number}" for number in range(30))):
        s3.put(BUCKET, key, b"1")
    s3.now += 10_000
    return s3


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Index]:
    """The index of the machine whose backups are in the bucket."""
    with Index.open(tmp_path / "machine.sqlite") as index:
        yield index


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """The admin's index, which is synced."""
    with Index.open(tmp_path / "admin.sqlite") as index:
        yield index


class SyncRun(NamedTuple):
    imported: SyncResult
    compared: list[ComparisonResult]

    @property
    def verdicts(self) -> dict[str, str]:
        return {one.info.id: one.verdict for one in self.compared}


def sync(s3: MemoryS3, index: Index, *, again: bool = False) -> SyncRun:
    """The steps of ``rwm state sync``."""
    files = list_state_files(s3, Location(BUCKET))
    if again:
        index.ledger.reset_trust(Location(BUCKET))
    imported = sync_states(s3, index, Location(BUCKET), files, new_state_files(index, Location(BUCKET), files))
    return SyncRun(imported, compare_with_history(s3, index, Location(BUCKET), files))


def capture_states(s3: MemoryS3, index: Index, count: int = 3) -> list[StateInfo]:
    """Capture ``count`` states, with a change before each."""
    found = []
    for number in range(count):
        s3.put(BUCKET, f"data/{number:02x}/new", b"x" * number)
        if number == 1:
            s3.delete(BUCKET, "data/00/a")
        s3.now += 10_000
        found.append(capture_state(s3, index, Location(BUCKET)))
        s3.now += 10_000
    return found


def put_forged_state(
    s3: MemoryS3, entries: Sequence[Entry], captured_at: int, bucket: str = BUCKET, base: StateInfo | None = None
) -> StateInfo:
    """Put a state file into the bucket, with the correct id of its content."""
    info = StateInfo("", bucket, captured_at, "capture", len(entries), sum(entry.size for entry in entries))
    info = identified(info, entries)
    s3.put(BUCKET, file_key(info), gzip.compress(b"".join(canonical_form(info, entries))))
    return info


# --- import and comparison -------------------------------------------------------------------------------------


def test_a_new_index_gets_every_state(s3: RecordingS3, machine: Index, index: Index) -> None:
    infos = capture_states(s3, machine)
    assert any(key.endswith(".delta.jsonl.gz") for key in s3.present(BUCKET))
    result = sync(s3, index)
    assert (result.imported.recorded, result.imported.rejected, result.imported.unread) == (infos, [], [])
    assert result.verdicts == {info.id: "verified" for info in infos}
    assert [(one.info, one.trust) for one in index.recorded()] == [(info, "verified") for info in infos]
    for info in infos:
        assert [*index.entries(info)] == [*machine.entries(info)]
        assert index.ledger.stored_file(info) == machine.ledger.stored_file(info)
        assert index.ledger.chain_sizes(info.id) == machine.ledger.chain_sizes(info.id)


def test_the_next_capture_after_a_sync_is_a_delta(s3: RecordingS3, machine: Index, index: Index) -> None:
    infos = capture_states(s3, machine)
    sync(s3, index)
    s3.put(BUCKET, "data/00/c", b"1")
    s3.now += 10_000
    info = capture_state(s3, index, Location(BUCKET))
    stored = index.ledger.stored_file(info)
    assert stored and stored.base == infos[-1].id
    assert [one.trust for one in index.recorded()] == ["verified"] * 3 + ["own"]


def test_a_second_sync_reads_no_file_and_lists_no_data(s3: RecordingS3, machine: Index, index: Index) -> None:
    capture_states(s3, machine)
    s3.put(BUCKET, "rwm/states/garbage", b"1")
    s3.now += 10_000
    sync(s3, index)
    before = index.recorded()
    s3.requests.clear()
    result = sync(s3, index)
    assert result == SyncRun(SyncResult(), [])
    assert s3.requests == LISTINGS
    assert index.recorded() == before


def test_a_later_sync_reads_only_new_files(s3: RecordingS3, machine: Index, index: Index) -> None:
    capture_states(s3, machine)
    sync(s3, index)
    (new,) = capture_states(s3, machine, 1)
    s3.requests.clear()
    result = sync(s3, index)
    assert result.imported.recorded == [new]
    assert result.verdicts == {new.id: "verified"}
    read = {key for what, key in s3.requests if what == "stream"}
    assert len(read) == 1 and new.id in read.pop()


def test_own_captures_are_neither_read_nor_compared(s3: RecordingS3, index: Index) -> None:
    infos = capture_states(s3, index)
    s3.requests.clear()
    assert sync(s3, index) == SyncRun(SyncResult(), [])
    assert [(one.info, one.trust) for one in index.recorded()] == [(info, "own") for info in infos]
    assert s3.requests == LISTINGS


def test_a_kept_listing_shows_of_which_confirmed_states_versions_are_gone(s3: RecordingS3, index: Index) -> None:
    """Only of states that are older than the listing, and nothing else is said of them again."""
    first, second, third = (
        capture_state(s3, index, Location(BUCKET)) for _ in range(3) if s3.put(BUCKET, "config", b"1")
    )
    entry = next(iter(index.entries(second)))
    assert not s3.delete_versions(BUCKET, [(entry.key, entry.version_id)])
    for known in ({first.id, third.id}, {first.id, second.id, third.id}):
        with closing(RecordedLister(s3)) as lister:
            found = compare_with_history(s3, index, Location(BUCKET), [], kept=KeptListing(lister, known))
        assert [(one.info.id, one.unknown) for one in found] == [(second.id, 1)] * (second.id in known)
    assert [state.trust for state in index.recorded(Location(BUCKET))] == ["own", "unknown", "own"]


def test_a_forgotten_state_is_skipped_until_verdicts_are_forgotten(
    s3: RecordingS3, machine: Index, index: Index
) -> None:
    infos = capture_states(s3, machine)
    sync(s3, index)
    index.forget(infos[:2])
    assert sync(s3, index) == SyncRun(SyncResult(), [])
    assert index.states() == infos[2:]
    result = sync(s3, index, again=True)
    assert result.imported.recorded == infos[:2]
    assert result.verdicts == {info.id: "verified" for info in infos}


def test_progress_counts_every_new_file_and_every_version(s3: RecordingS3, machine: Index, index: Index) -> None:
    capture_states(s3, machine)
    files = list_state_files(s3, Location(BUCKET))
    read: list[int] = []
    compared: list[int] = []
    sync_states(s3, index, Location(BUCKET), files, new_state_files(index, Location(BUCKET), files), read.append)
    compare_with_history(s3, index, Location(BUCKET), files, compared.append)
    assert sum(read) == 3
    assert sum(compared) == len([one for one in s3.versions(BUCKET) if not one.key.startswith("rwm/")])


# --- forged and invalid files -------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["overwritten", "overwritten often", "deleted", "deleted and written"])
def test_the_first_version_of_a_file_counts(s3: RecordingS3, machine: Index, index: Index, what: str) -> None:
    infos = capture_states(s3, machine)
    for key in [key for key in s3.present(BUCKET) if key.startswith("rwm/")]:
        if what.startswith("deleted"):
            s3.delete(BUCKET, key)
        for _ in range({"deleted": 0, "overwritten often": 20}.get(what, 1)):
            s3.put(BUCKET, key, b"garbage")
    result = sync(s3, index)
    assert (result.imported.recorded, result.imported.rejected) == (infos, [])
    assert set(result.verdicts.values()) == {"verified"}


def test_a_forged_first_version_does_not_hide_the_state(s3: RecordingS3, machine: Index, index: Index) -> None:
    """In an unchanged bucket the id of the next state can be computed before it is captured."""
    infos = capture_states(s3, machine)
    for key in [key for key in s3.present(BUCKET) if key.startswith("rwm/")]:
        genuine = s3.get(BUCKET, key)
        s3.remove(BUCKET, key, s3.buckets[BUCKET][key][0].version_id)
        for body in (b"garbage", genuine, b"later"):
            s3.put(BUCKET, key, body)
    result = sync(s3, index)
    assert result.imported.recorded == infos
    assert len(result.imported.rejected) == len(infos)
    assert set(result.verdicts.values()) == {"verified"}
    assert sync(s3, index).imported == SyncResult()


@pytest.mark.parametrize(
    ("uploaded", "expected"),
    [
        ([START], START),
        ([START, START + 9000], START),
        ([START + 9000, START], START),
        ([START - 1001, START + 5], START + 5),
        ([START + 5, START - 1001], START + 5),
    ],
)
def test_a_file_that_was_written_before_its_state_does_not_tell_when_it_was_uploaded(
    uploaded: list[int], expected: int
) -> None:
    name = FileName("", START, "a" * 64, is_delta=False)
    files = [StateFile("key", f"v{number}", 1, time, name) for number, time in enumerate(uploaded)]
    assert _upload_times(files, {}) == {"a" * 64: expected}
    assert _upload_times(files, {files[0].ledger_key: "not a state"}).get("a" * 64) == (
        uploaded[1] if len(uploaded) > 1 else None
    )


class Forgery(NamedTuple):
    entries: list[Entry]
    key: str
    why: str


def test_forged_entries_are_contradicted(s3: RecordingS3, machine: Index, index: Index) -> None:
    (genuine,) = capture_states(s3, machine, 1)
    entries = {entry.key: entry for entry in machine.entries(genuine)}
    s3.now += 10_000
    old = entries["config"]
    s3.put(BUCKET, "config", b"garbage")
    new = s3.buckets[BUCKET]["config"][0]
    s3.delete(BUCKET, "keys/k")
    s3.now += 10_000
    second = s3.now // 1000 * 1000
    now = {key: entry for key, entry in entries.items() if key != "keys/k"}
    now["config"] = Entry("config", new.version_id, new.size, new.etag, new.last_modified)
    cases = {
        "deleted by then": Forgery([*now.values(), entries["keys/k"]], "keys/k", "deleted by then"),
        "overwritten": Forgery([*(now | {"config": old}).values()], "config", "was current"),
        "lacking": Forgery([entry for entry in now.values() if entry.key != "data/00/b"], "data/00/b", "lacks a key"),
        "another size": Forgery([*(now | {"config": now["config"]._replace(size=9)}).values()], "config", "size"),
        "another etag": Forgery([*(now | {"config": now["config"]._replace(etag="x")}).values()], "config", "etag"),
        "another time": Forgery(
            [*(now | {"config": now["config"]._replace(last_modified=1000)}).values()], "config", "another time"
        ),
    }
    made = {what: put_forged_state(s3, sorted(one.entries), second) for what, one in cases.items()}
    honest = put_forged_state(s3, sorted(now.values()), second)
    unknown = put_forged_state(s3, sorted([*now.values(), Entry("never", "v999", 1, "e", 1000)]), second)
    by_id = {one.info.id: one for one in sync(s3, index).compared}
    assert by_id[honest.id].verdict == by_id[genuine.id].verdict == "verified"
    assert by_id[unknown.id].verdict == "unknown"
    for what, info in made.items():
        one = by_id[info.id]
        assert (one.verdict, one.contradicted) == ("contradicted", 1), what
        (fault,) = one.contradictions
        assert fault.key == cases[what].key
        assert cases[what].why in fault.why
    assert index.resolve("latest", Location(BUCKET)) == honest


def test_a_state_of_the_future_is_unknown(s3: RecordingS3, index: Index) -> None:
    """Clocks may differ, so it is not contradicted. If it were verified, it would be the latest state forever."""
    entries = [Entry(one.key, one.version_id, one.size, one.etag, one.last_modified) for one in s3.versions(BUCKET)]
    info = put_forged_state(s3, sorted(entries), s3.now // 1000 * 1000 + 3_600_000)
    s3.now += 7_200_000
    result = sync(s3, index)
    assert result.verdicts == {info.id: "unknown"}
    assert "its file was written at" in result.compared[0].doubt
    with pytest.raises(StateNotFound):
        index.resolve("latest", Location(BUCKET))


def test_a_forged_empty_state_is_contradicted(s3: RecordingS3, index: Index) -> None:
    info = put_forged_state(s3, [], s3.now // 1000 * 1000)
    result = sync(s3, index)
    assert result.verdicts == {info.id: "contradicted"}
    assert result.compared[0].contradicted == 34


@pytest.mark.parametrize("origin", ["bucket", "name", "content", "key", "time"])
def test_an_invalid_file_is_rejected_once(s3: RecordingS3, machine: Index, index: Index, origin: str) -> None:
    infos = capture_states(s3, machine, 1)
    info, body = identified(StateInfo("", BUCKET, 5000, "capture", 0, 0), []), b"garbage"
    key = file_key(info)
    if origin == "bucket":
        other = identified(replace(info, bucket="other"), [])
        key, body = file_key(other), gzip.compress(b"".join(canonical_form(other, [])))
    elif origin == "name":
        key, body = "rwm/states/x.jsonl.gz", gzip.compress(b"".join(canonical_form(info, [])))
    elif origin == "key":
        key, body = file_key(replace(info, id="a" * 64)), gzip.compress(b"".join(canonical_form(info, [])))
    elif origin == "time":
        key, body = file_key(replace(info, captured_at=6000)), gzip.compress(b"".join(canonical_form(info, [])))
    version = s3.put(BUCKET, key, body)
    result = sync(s3, index)
    assert [(one.key, one.version_id) for one in result.imported.rejected] == [(key, version)]
    assert result.imported.recorded == index.states() == infos
    s3.requests.clear()
    assert sync(s3, index) == SyncRun(SyncResult(), [])
    assert s3.requests == LISTINGS
    assert [one.key for one in sync(s3, index, again=True).imported.rejected] == [key]


def test_other_own_objects_are_ignored(s3: RecordingS3, index: Index) -> None:
    for key in ("rwm/evidence/x", "rwm/state_x.json.gz", "rwm/x/state_2026-01-01T00:00:00.json.gz", "rwm"):
        s3.put(BUCKET, key, b"1")
    s3.delete(BUCKET, "rwm/states/never written")
    assert list_state_files(s3, Location(BUCKET)) == []


def test_a_cycle_of_deltas_makes_the_next_capture_full(s3: RecordingS3, machine: Index, index: Index) -> None:
    """Two genuine states, each as a delta upon the other, and one of them in full."""
    one, two = capture_states(s3, machine, 2)
    contents = {info: [*machine.entries(info)] for info in (one, two)}
    bucket = RecordingS3(BUCKET)
    bucket.requests = []
    bucket.buckets[BUCKET] = {k: v for k, v in s3.buckets[BUCKET].items() if not k.startswith("rwm/")}
    bucket.bodies, bucket.now = s3.bodies, s3.now
    for info, base in ((one, two), (two, one)):
        with (index.path.parent / "delta").open("w+b") as file:
            found = list(changes(contents[base], contents[info]))
            write_delta(info, base.id, found, len(found), file)
            file.seek(0)
            bucket.put(BUCKET, delta_key(info), file)
    bucket.put(BUCKET, file_key(one), gzip.compress(b"".join(canonical_form(one, contents[one]))))
    bucket.now += 10_000
    result = sync(bucket, index)
    assert result.verdicts == {one.id: "verified", two.id: "verified"}
    bucket.now += 10_000
    last = capture_state(bucket, index, Location(BUCKET))
    stored = index.ledger.stored_file(last)
    assert stored and stored.base is None


# --- faults -----------------------------------------------------------------------------------------


def test_a_disk_that_is_full_when_a_file_was_read_does_not_stop_the_others(
    s3: RecordingS3, machine: Index, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last part of a file is written when it is read from its start."""
    infos = capture_states(s3, machine)
    usual, numbers = tempfile.SpooledTemporaryFile, itertools.count()

    def create(max_size: int) -> Any:
        file: Any = usual(max_size)
        if next(numbers) == 0:
            file._file = io.BufferedRandom(io.FileIO("/dev/full", "r+"))
        return file

    monkeypatch.setattr("rwm.states.sync.tempfile.SpooledTemporaryFile", create)
    result = sync(s3, index)
    assert ["a temporary file cannot be written: No space" in file.why for file in result.imported.unread] == [True]
    assert len(result.imported.recorded) == len(infos) - 1


def test_a_state_that_does_not_fit_does_not_stop_the_others(s3: RecordingS3, machine: Index, index: Index) -> None:
    infos = capture_states(s3, machine)
    large = [Entry(f"data/{number:064x}", "v", 1, "e", 0) for number in range(4000)]
    put_forged_state(s3, large, infos[1].captured_at)
    index._connection.execute("PRAGMA temp.max_page_count = 100")
    result = sync(s3, index)
    assert result.imported.recorded == infos
    assert ["disk is full" in file.why for file in result.imported.unread] == [True]
    assert set(result.verdicts.values()) == {"verified"}


def test_a_backdated_capture_cannot_have_later_versions(s3: RecordingS3, index: Index) -> None:
    clean = s3.now
    s3.now += 5 * DAY
    s3.put(BUCKET, "index/poison", b"a valid name")
    with Index.open(index.path.with_name("machine.sqlite")) as own:
        s3.now += 10_000
        entries = [*own.entries(capture_state(s3, own, Location(BUCKET)))]
    forged = put_forged_state(s3, entries, clean // 1000 * 1000 + 3_600_000)
    assert sync(s3, index).verdicts[forged.id] == "contradicted"


def test_capturing_the_same_past_again_writes_nothing(s3: RecordingS3, index: Index) -> None:
    at = s3.now
    s3.now += 10_000
    info = capture_state(s3, index, Location(BUCKET), at=at, origin="past")
    before = s3.present(BUCKET)
    assert capture_state(s3, index, Location(BUCKET), at=at, origin="past") == info
    assert s3.present(BUCKET) == before


def test_killed_between_import_and_comparison(s3: RecordingS3, machine: Index, index: Index) -> None:
    infos = capture_states(s3, machine)
    files = list_state_files(s3, Location(BUCKET))
    sync_states(s3, index, Location(BUCKET), files, new_state_files(index, Location(BUCKET), files)[:2])
    assert [one.trust for one in index.recorded()] == ["unchecked"] * 2
    result = sync(s3, index)
    assert result.imported.recorded == infos[2:]
    assert result.verdicts == {info.id: "verified" for info in infos}


class RequestError(Exception):
    pass


def test_failure_of_any_request(s3: RecordingS3, machine: Index, tmp_path: Path) -> None:
    """Recorded states stay, and the next sync completes the rest."""
    infos = capture_states(s3, machine)
    put_forged_state(s3, [], s3.now // 1000 * 1000)
    s3.put(BUCKET, "rwm/states/garbage", b"1")
    recorded_counts = []

    class FailingS3(MemoryS3):
        left = 0

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name in ("stream", "versions", "server_time", "level"):
                if self.left == 0:
                    raise RequestError
                self.left -= 1
            return found

    for number in range(100):
        failing = FailingS3(BUCKET)
        failing.buckets, failing.bodies, failing.now, failing.left = s3.buckets, s3.bodies, s3.now + 60_000, number
        with Index.open(tmp_path / f"{number}.sqlite") as index:
            try:
                sync(failing, index)
                recorded_counts.append(len(index.states()))
            except RequestError:
                recorded_counts.append(-len(index.states()))
                assert {one.trust for one in index.recorded()} <= {"unchecked"}
            failing.left = 1 << 30
            sync(failing, index)
            trusts = [one.trust for one in index.recorded()]
            assert trusts == ["verified"] * 3 + ["contradicted"]
            for info in infos:
                assert [*index.entries(info)] == [*machine.entries(info)]
        if recorded_counts[-1] > 0:
            break
    assert recorded_counts[0] == 0 and recorded_counts[-1] == 4 and -4 in recorded_counts


@pytest.mark.parametrize("error", [Unreachable("no answer"), AccessDenied("no"), S3Error("no key to decrypt")])
def test_an_unreadable_file_does_not_stop_the_others(
    s3: RecordingS3, machine: Index, index: Index, monkeypatch: pytest.MonkeyPatch, error: S3Error
) -> None:
    infos = capture_states(s3, machine)
    s3.put(BUCKET, file_key(replace(infos[0], id="a" * 64)), b"unreadable")
    original_method = s3.stream

    def stream(bucket: str, key: str, version_id: str | None = None) -> Iterator[bytes]:
        if "a" * 64 in key:
            raise error
        return original_method(bucket, key, version_id)

    with monkeypatch.context() as patch:
        patch.setattr(s3, "stream", stream)
        if isinstance(error, Unreachable):
            with pytest.raises(Unreachable):
                sync(s3, index)
        else:
            result = sync(s3, index)
            assert result.imported.recorded == infos
            assert [one.why for one in result.imported.unread] == [error.message]
            assert result.imported.rejected == []
    result = sync(s3, index)  # the unread file is read again
    assert len(result.imported.rejected) == 1
    assert index.states() == infos


def test_a_state_recorded_by_another_process_during_the_comparison(
    s3: RecordingS3, machine: Index, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """References are positions in one list of states."""
    infos = capture_states(s3, machine)
    original_method = Index.recorded
    between: list[StateInfo] = []

    def recorded(self: Index, location: Location | None = None) -> Any:
        found = original_method(self, location)
        if self is index and not between and len(found) == 3:
            between.append(infos[0])
            with Index.open(index.path) as other:
                between.append(
                    capture_state(s3, other, Location(BUCKET), at=infos[0].captured_at - 5000, origin="past")
                )
                other.forget([infos[1]])
        return found

    files = list_state_files(s3, Location(BUCKET))
    sync_states(s3, index, Location(BUCKET), files, new_state_files(index, Location(BUCKET), files))
    monkeypatch.setattr(Index, "recorded", recorded)
    with pytest.raises(Exception, match="is not in the index") as error:
        compare_with_history(s3, index, Location(BUCKET), files)
    assert type(error.value).__name__ == "StateNotFound"
    results = compare_with_history(s3, index, Location(BUCKET), files)
    assert {result.info: result.verdict for result in results} == {infos[0]: "verified", infos[2]: "verified"}
    assert index.trust(between[1]) == "own"


# --- prune and backup -------------------------------------------------------------------------------


def test_after_a_prune_kept_states_are_verified_and_others_unknown(
    s3: RecordingS3, machine: Index, index: Index
) -> None:
    infos = capture_states(s3, machine, 4)
    keep = select_kept_states(machine, Location(BUCKET), keep_last(1), [])
    execute_prune(s3, plan_prune(s3, machine, Location(BUCKET), keep))
    assert s3.deleted
    found = sync(s3, index).verdicts
    assert found[infos[3].id] == "verified"
    assert found[infos[0].id] == "unknown"
    assert "contradicted" not in found.values()


class BackupS3(MemoryS3):
    """A backup writes between any two listings."""

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Any:
        self.now += 3000
        for key in ("data/00/created", "data/00/a", "snapshots/s"):
            self.put(bucket, key, b"meanwhile")
        self.delete(bucket, "data/00/b")
        return super().level(bucket, prefix, page_size=page_size)


def test_a_state_captured_during_a_backup_is_verified(s3: RecordingS3, machine: Index, index: Index) -> None:
    s3_in_use = BackupS3(BUCKET)
    s3_in_use.buckets, s3_in_use.bodies, s3_in_use.now = s3.buckets, s3.bodies, s3.now
    infos = [capture_state(s3_in_use, machine, Location(BUCKET)) for _ in range(3)]
    keys = [{entry.key for entry in machine.entries(info)} for info in infos]
    assert "data/00/created" in keys[0]
    s3.now = s3_in_use.now + 10_000
    assert sync(s3, index).verdicts == {info.id: "verified" for info in infos}


# --- the original tool's files ----------------------------------------------------------------------------------


def original(s3: MemoryS3, versions: list[dict[str, Any]] | None = None) -> str:
    """A state file as the original tool writes it: time without a zone inside, with one in its name."""
    started = iso(s3.now // 1000 * 1000)
    found = versions
    if found is None:
        found = [
            {
                "Key": one.key,
                "VersionId": one.version_id,
                "Size": one.size,
                "ETag": f'"{one.etag}"',
                "LastModified": iso(one.last_modified),
                "IsLatest": one.is_latest,
            }
            for one in s3.versions(BUCKET)
            if not one.is_marker
        ]
    s3.now += 5000
    key = f"rwm/state_{started}.json.gz"
    document = {"bucket_name": BUCKET, "time_start": started, "versions": found, "delete_markers": []}
    s3.put(BUCKET, key, gzip.compress(json.dumps(document).encode()))
    s3.now += 5000
    return key


def test_files_of_the_original_tool(s3: RecordingS3, index: Index) -> None:
    present = {key: version for key, version in s3.present(BUCKET).items() if not key.startswith("rwm/")}
    key = original(s3)
    wrong = original(s3, [{"Key": "config", "IsLatest": True}])
    forged_key = original(s3, [])
    result = sync(s3, index)
    assert [one.key for one in result.imported.rejected] == [wrong]
    genuine, forged = result.imported.recorded
    assert {entry.key: entry.version_id for entry in index.entries(genuine)} == present
    assert (genuine.origin, iso(genuine.captured_at) in key, iso(forged.captured_at) in forged_key) == (
        "original",
        True,
        True,
    )
    assert result.verdicts == {genuine.id: "verified", forged.id: "contradicted"}
    s3.requests.clear()
    assert sync(s3, index) == SyncRun(SyncResult(), [])
    assert s3.requests == LISTINGS
    index.forget([genuine])
    assert sync(s3, index) == SyncRun(SyncResult(), [])
    assert index.states() == [forged]


# --- random histories -------------------------------------------------------------------------------------------------

KEYS = ["config", "data/00/a", "a", "a/b"]


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=3),
            st.sampled_from(["machine", "admin", "past", "sync", "forge", "nothing"]),
            st.integers(0, 30),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_genuine_states_are_verified_and_forged_ones_never(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[tuple[str, bool]], str, int]]
) -> None:
    s3, place = MemoryS3(BUCKET), tmp_path_factory.mktemp("index")
    genuine: dict[str, list[Entry]] = {}
    forged: set[str] = set()
    with Index.open(place / "machine.sqlite") as machine, Index.open(place / "admin.sqlite") as admin:
        for writes, what, number in steps:
            for key, deleted in writes:
                if deleted:
                    s3.delete(BUCKET, key)
                else:
                    s3.put(BUCKET, key, b"1")
            s3.now += 5000
            if what in ("machine", "admin", "past"):
                index = admin if what == "admin" else machine
                at = s3.now - number * 1000 - 2000 if what == "past" else None
                info = capture_state(s3, index, Location(BUCKET), at=at, origin="capture" if at is None else "past")
                genuine[info.id] = [*index.entries(info)]
            elif what == "sync":
                sync(s3, admin)
            elif what == "forge":
                keys = {key: version for key, version in s3.present(BUCKET).items() if not key.startswith("rwm/")}
                entries = [
                    Entry(key, version, 1, f"etag-{version}", s3.buckets[BUCKET][key][0].last_modified)
                    for key, version in sorted(keys.items())
                ]
                if entries:
                    del entries[number % len(entries)]
                    forged.add(put_forged_state(s3, entries, s3.now // 1000 * 1000 - 1000).id)
                s3.now += 5000
        s3.now += 60_000
        sync(s3, admin)
        with Index.open(place / "fresh.sqlite") as fresh:
            sync(s3, fresh)
            for index in (admin, fresh):
                trusts = {one.info.id: one.trust for one in index.recorded()}
                assert trusts.keys() == genuine.keys() | forged
                assert {state_id for state_id, trust in trusts.items() if trust == "contradicted"} == forged
                assert {trusts[state_id] for state_id in genuine} <= {"own", "verified"}
                for info in index.states():
                    assert info.id in forged or [*index.entries(info)] == genuine[info.id]
            assert "own" not in {one.trust for one in fresh.recorded()}
