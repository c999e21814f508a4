"""States of prefixes: capture, sync and comparison of several repositories in one bucket."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rwm.errors import NotFound, UsageError
from rwm.index import Index
from rwm.layout import is_own_key
from rwm.location import Location
from rwm.model import Entry, ObjectVersion, StateInfo
from rwm.s3.listing.sibling_order import Level
from rwm.statefile.canonical import canonical_form, file_key, identified, parse_file_key
from rwm.states.capture import capture_state
from rwm.states.comparison import ComparisonResult
from rwm.states.sync import SyncResult, compare_with_history, list_state_files, new_state_files, sync_states
from rwm.times import SECOND
from tests.unit.memory import START, MemoryS3

BUCKET = Location("bucket1")
HOST1 = Location("bucket1", "host1/")
HOST2 = Location("bucket1", "host2/")
REPOSITORY = ["config", "keys/k", "data/00/p", "index/i", "snapshots/s"]


class ListedS3(MemoryS3):
    """A bucket that notes which prefixes are listed."""

    def __init__(self, *repositories: str) -> None:
        super().__init__("bucket1")
        self.listed: set[str] = set()
        for prefix in repositories:
            for name in REPOSITORY:
                self.put("bucket1", prefix + name, b"1")
        self.now += 10_000

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        self.listed.add(prefix)
        return super().level(bucket, prefix, page_size=page_size)

    def versions(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectVersion]:
        self.listed.add(prefix)
        return super().versions(bucket, prefix, page_size=page_size)


@pytest.fixture
def s3() -> ListedS3:
    return ListedS3("host1/", "host2/")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def capture(s3: MemoryS3, index: Index, location: Location) -> StateInfo:
    """A state in a second of its own."""
    s3.now += 10_000
    info = capture_state(s3, index, location)
    s3.now += 10_000
    return info


def hash_of(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


def sync(
    s3: MemoryS3, index: Index, location: Location, prefixes: Sequence[str] = ()
) -> tuple[SyncResult, list[ComparisonResult]]:
    files = list_state_files(s3, location, prefixes)
    result = sync_states(s3, index, location, files, new_state_files(index, location, files))
    return result, compare_with_history(s3, index, location, files)


def keys(index: Index, info: StateInfo) -> dict[str, str]:
    return {entry.key: entry.version_id for entry in index.entries(info)}


class TestCapture:
    def test_only_below_the_prefix(self, s3: ListedS3, index: Index) -> None:
        first = capture(s3, index, HOST1)
        s3.put("bucket1", "host1/snapshots/s2", b"1")
        second = capture(s3, index, HOST1)
        assert all(prefix.startswith("host1/") for prefix in s3.listed)
        assert (first.location, second.location) == (HOST1, HOST1)
        assert keys(index, first).keys() == {f"host1/{name}" for name in REPOSITORY}
        assert keys(index, second).keys() == {f"host1/{name}" for name in (*REPOSITORY, "snapshots/s2")}
        files = [parse_file_key(key) for key in s3.present("bucket1") if is_own_key(key)]
        assert [(file.prefix, file.id) for file in files if file] == [("host1/", first.id), ("host1/", second.id)]

    def test_a_delta_builds_upon_the_state_before_it_of_the_same_location(self, s3: ListedS3, index: Index) -> None:
        infos = [capture(s3, index, location) for location in (BUCKET, HOST1, HOST2, BUCKET, HOST1, HOST2)]
        found = [index.ledger.stored_file(info) for info in infos]
        assert [file.base if file else "" for file in found] == [None] * 3 + [info.id for info in infos[:3]]
        for info in infos:
            assert keys(index, info) == {
                key: version for key, version in s3.present("bucket1").items()
                if key.startswith(info.prefix) and not is_own_key(key)
            }  # fmt: skip

    def test_a_prefix_below_which_nothing_is(self, s3: ListedS3, index: Index) -> None:
        with pytest.raises(NotFound, match="nothing is stored below bucket1/host3, and nothing was") as error:
            capture(s3, index, Location("bucket1", "host3/"))
        assert "restic_bucket" in error.value.hint
        assert index.states() == [] and not [key for key in s3.present("bucket1") if is_own_key(key)]

    def test_a_directory_of_a_repository(self, s3: ListedS3, index: Index) -> None:
        with pytest.raises(UsageError, match="bucket1/host1/data is a directory of the repository at bucket1/host1"):
            capture(s3, index, Location("bucket1", "host1/data/"))
        assert index.states() == []

    def test_a_repository_whose_objects_are_deleted_has_an_empty_state(self, s3: ListedS3, index: Index) -> None:
        for key in [key for key in s3.present("bucket1") if key.startswith("host1/")]:
            s3.delete("bucket1", key)
        assert capture(s3, index, HOST1).objects == 0


class RunningBackups(ListedS3):
    """Before each request, restic writes a pack, an index or a snapshot in each repository, in this order.

    A snapshot names its index, an index its pack: by their number.
    """

    def __init__(self, *repositories: str) -> None:
        super().__init__(*repositories)
        self.repositories = repositories
        self.steps = 0
        self._step_lock = Lock()

    def _step(self) -> None:
        with self._step_lock:  # directories are listed in several threads
            self.now += SECOND
            kind = ("data/00/", "index/", "snapshots/")[self.steps % 3]
            for prefix in self.repositories:
                self.put("bucket1", f"{prefix}{kind}n{self.steps // 3}", b"1")
            self.steps += 1

    def level(self, bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Level]:
        self._step()
        return super().level(bucket, prefix, page_size=page_size)

    def version_batches(
        self, bucket: str, prefix: str = "", *, page_size: int = 1000
    ) -> Iterator[Sequence[ObjectVersion]]:
        """Pages of three keys, each as the bucket is then."""
        last = ""
        while True:
            self._step()
            left = [key for key in sorted(self.buckets[bucket]) if key.startswith(prefix) and key > last]
            if not left:
                return
            yield [entry for key in left[:3] for entry in self.buckets[bucket][key]]
            last = left[:3][-1]


@pytest.mark.parametrize("limit", [0, 1, 2, 1000])
def test_a_state_has_all_that_its_snapshots_need(index: Index, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Also of repositories that the walk does not reach."""
    monkeypatch.setattr("rwm.s3.listing.discovery.MAX_DIRECTORIES", limit)
    repositories = ["", "host1/", "host1/old/", "sites/a/host1/", "sites/b/host1/", "z/"]
    s3 = RunningBackups(*repositories)
    found = set(keys(index, capture_state(s3, index, BUCKET)))
    for prefix in repositories:
        for number in range(s3.steps):
            assert f"{prefix}snapshots/n{number}" not in found or f"{prefix}index/n{number}" in found
            assert f"{prefix}index/n{number}" not in found or f"{prefix}data/00/n{number}" in found
    assert "data/00/n1" in found
    assert limit < 1000 or "z/data/00/n1" in found


inner = st.lists(st.sampled_from(["data", "index", "snapshots", "keys", "x", "00", "ab"]), min_size=1, max_size=3)


@settings(max_examples=25)
@given(inside=st.lists(inner.map(lambda names: "".join(f"{name}/" for name in names)), min_size=1, max_size=3))
@example(inside=["data/x/", "data/ab/", "index/", "host1/snapshots/old/"])
def test_a_repository_in_the_own_directories_of_another_is_not_torn(inside: list[str]) -> None:
    """It is not discovered, but its keys are exactly as of the second of the state."""
    repositories = sorted({"", "host1/", *inside})
    s3 = RunningBackups(*repositories)
    with TemporaryDirectory() as name, Index.open(Path(name) / "index.sqlite") as index:
        found = set(keys(index, capture_state(s3, index, BUCKET)))
    for prefix in repositories:
        for number in range(s3.steps):
            assert f"{prefix}snapshots/n{number}" not in found or f"{prefix}index/n{number}" in found
            assert f"{prefix}index/n{number}" not in found or f"{prefix}data/00/n{number}" in found
    assert "host1/data/00/n1" in found


def test_a_state_of_the_past_visits_few_directories(index: Index) -> None:
    s3 = ListedS3("host1/")
    for number in range(300):
        s3.put("bucket1", f"odd/{number}/{number}/x", b"1")
    s3.now += 10_000
    info = capture_state(s3, index, BUCKET, at=s3.now - 5000)
    assert info.objects == 305
    assert len(s3.listed) < 110


class TestSync:
    def test_a_new_index_gets_the_states_of_all_prefixes(self, s3: ListedS3, index: Index, tmp_path: Path) -> None:
        with Index.open(tmp_path / "machines.sqlite") as machines:
            infos = [capture(s3, machines, location) for location in (HOST1, BUCKET, HOST2, HOST1, BUCKET)]
            result, judged = sync(s3, index, BUCKET)
            assert (result.recorded, result.rejected, result.unread) == (infos, [], [])
            assert [(one.info, one.verdict) for one in judged] == [(info, "verified") for info in infos]
            assert all(keys(index, info) == keys(machines, info) for info in infos)
        assert sync(s3, index, BUCKET) == (SyncResult(), [])

    @pytest.mark.parametrize("limit", [50_000, 0])
    def test_states_between_those_of_a_location_do_not_make_its_deltas_full(
        self, s3: ListedS3, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        for number in range(100):
            s3.put("bucket1", f"host{1 + number % 2}/data/00/{hash_of(number)}", b"1")
        with Index.open(tmp_path / "machines.sqlite") as machines:
            infos = []
            for number, location in enumerate((BUCKET, HOST1, BUCKET, HOST1, HOST2, BUCKET, HOST1)):
                s3.put("bucket1", f"host{1 + number % 2}/snapshots/s{number}", b"1")
                infos.append(capture(s3, machines, location))
            record, compared = index.record, []

            def record_all(info: StateInfo, *arguments: Any, **options: Any) -> bool:
                compared.append(info.id)
                return record(info, *arguments, **options)

            monkeypatch.setattr(index, "record", record_all)
            monkeypatch.setattr("rwm.index.store.MAX_MOVED", limit)
            sync(s3, index, BUCKET)
            stored = {info.id: machines.ledger.stored_file(info) for info in infos}
            full = {state_id for state_id, file in stored.items() if file and file.base is None}
            assert len(full) == 3, "of each location the first"
            assert full < set(compared) if limit == 0 else full == set(compared)
            assert all(keys(index, info) == keys(machines, info) for info in infos)

    def test_a_machine_reads_only_below_its_prefix(self, s3: ListedS3, index: Index, tmp_path: Path) -> None:
        with Index.open(tmp_path / "machines.sqlite") as machines:
            infos = [capture(s3, machines, location) for location in (HOST1, BUCKET, HOST2, HOST1)]
        s3.listed.clear()
        result, judged = sync(s3, index, HOST1)
        assert result.recorded == [one.info for one in judged] == [infos[0], infos[3]]
        assert all(prefix.startswith("host1/") for prefix in s3.listed)

    def test_only_states_that_the_listing_covers_are_compared(self, s3: ListedS3, index: Index, tmp_path: Path) -> None:
        with Index.open(tmp_path / "machines.sqlite") as machines:
            whole = capture(s3, machines, BUCKET)
            capture(s3, machines, HOST1)
        files = list_state_files(s3, BUCKET)
        sync_states(s3, index, BUCKET, files, files)
        judged = compare_with_history(s3, index, HOST1, files)
        assert [one.info.location for one in judged] == [HOST1]
        assert index.trust(whole) == "unchecked"

    def test_prefixes_from_elsewhere_are_read_too(
        self, s3: ListedS3, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Index.open(tmp_path / "machines.sqlite") as machines:
            info = capture(s3, machines, HOST1)
        monkeypatch.setattr("rwm.s3.listing.discovery.MAX_DIRECTORIES", 0)
        assert list_state_files(s3, BUCKET) == []
        assert list_state_files(s3, HOST2, ["host1/"]) == []
        assert sync(s3, index, BUCKET, ["host1/", "host9/", "host1/rwm/states/"])[0].recorded == [info]


def forge(s3: MemoryS3, place: str, info: StateInfo, entries: Sequence[Entry]) -> str:
    """Put a state file with the correct id of its content below ``place``, whatever the state is of."""
    info = identified(info, entries)
    key = place + file_key(info).removeprefix(info.prefix)
    s3.put("bucket1", key, gzip.compress(b"".join(canonical_form(info, entries))))
    return key


class TestAMachineCannotSpeakOfAnother:
    @pytest.mark.parametrize("prefix", ["", "host2/", "host1/old/", "host1"])
    def test_states_of_other_locations_are_rejected(self, s3: ListedS3, index: Index, prefix: str) -> None:
        entries = [Entry(f"{prefix}data/00/x", "v1", 1, "e", START)]
        info = StateInfo("", "bucket1", s3.now // SECOND * SECOND, "capture", 1, 1, prefix=prefix)
        key = forge(s3, "host1/", info, entries)
        for location in (BUCKET, HOST1):
            with Index.open(index.path.parent / f"{location.prefix.strip('/')}.sqlite") as fresh:
                result, judged = sync(s3, fresh, location)
                assert [file.key for file in result.rejected] == [key]
                assert (result.recorded, judged, fresh.states()) == ([], [], [])

    def test_keys_outside_of_the_prefix_are_rejected(self, s3: ListedS3, index: Index) -> None:
        entries = [Entry("host2/data/00/x", "v1", 1, "e", START)]
        info = StateInfo("", "bucket1", s3.now // SECOND * SECOND, "capture", 1, 1, prefix="host1/")
        key = forge(s3, "host1/", info, entries)
        result, _ = sync(s3, index, BUCKET)
        assert [(file.key, "not below host1/" in file.why) for file in result.rejected] == [(key, True)]

    def test_a_file_with_the_name_of_another_locations_state_changes_nothing(
        self, s3: ListedS3, index: Index, tmp_path: Path
    ) -> None:
        with Index.open(tmp_path / "machines.sqlite") as machines:
            infos = [capture(s3, machines, BUCKET)]
            s3.put("bucket1", f"host1/{file_key(infos[0])}", b"garbage")
            s3.put("bucket1", "host2/snapshots/s2", b"1")
            infos.append(capture(s3, machines, BUCKET))
        early = s3.buckets["bucket1"][f"host1/{file_key(infos[0])}"]
        early[:] = [version._replace(last_modified=infos[0].captured_at) for version in early]
        files = list_state_files(s3, BUCKET)
        newest_only = [file for file in files if file.name and file.name.id == infos[1].id]
        assert sync_states(s3, index, BUCKET, files, newest_only).recorded == [infos[1]]
        assert sync(s3, index, BUCKET)[0].recorded == [infos[0]]
        assert [state.trust for state in index.recorded()] == ["verified", "verified"]


events = st.lists(
    st.tuples(
        st.sampled_from(["", "a/", "a/b/", "c/"]),
        st.sampled_from([*REPOSITORY, "rwm/n", "b"]),
        st.booleans(),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(events=events, at=st.integers(0, 20), prefix=st.sampled_from(["a/", "a/b/", "c/"]), whole_first=st.booleans())
def test_the_state_of_a_prefix_is_that_part_of_the_whole_state(
    tmp_path_factory: pytest.TempPathFactory,
    events: Sequence[tuple[str, str, bool, int]],
    at: int,
    prefix: str,
    whole_first: bool,
) -> None:
    s3 = ListedS3()
    s3.put("bucket1", f"{prefix}config", b"1")
    for place, name, is_deleted, pause in events:
        if is_deleted:
            s3.delete("bucket1", place + name)
        else:
            s3.put("bucket1", place + name, b"1")
        s3.now += pause * SECOND
    s3.now += 31 * SECOND  # later than any of the times below
    second = START + (10 + at) * SECOND
    locations = [BUCKET, Location("bucket1", prefix)]
    with Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as index:
        found: Mapping[str, StateInfo] = {
            location.prefix: capture_state(s3, index, location, at=second, origin="past")
            for location in (locations if whole_first else locations[::-1])
        }
        whole, part = (keys(index, found[location.prefix]) for location in locations)
        assert part == {key: version for key, version in whole.items() if key.startswith(prefix)}
