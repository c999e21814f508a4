"""Storage classes of versions in the index: as the last listing showed them, and no part of any state."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from rwm.index import Index
from rwm.index.schema import migrations
from rwm.location import Location
from rwm.model import ClassCount, ObjectVersion, StateInfo, StorageClasses
from tests.unit.states import BUCKET, listed, put, state

NAME = "5" * 64


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def record(
    index: Index, classes: Mapping[tuple[str, str], str], at: int = 5000, bucket: str = BUCKET, prefix: str = ""
) -> None:
    """Record what a listing showed: class by (key, version id)."""
    table = index.storage_classes.table()
    for (key, version), name in classes.items():
        table.add_versions([ObjectVersion(key, version, True, False, 1, "e", 1000, name)])
    index.storage_classes.record(Location(bucket, prefix), table, at)
    table.close()


def classes_of(index: Index, info: StateInfo) -> dict[tuple[str, str], str]:
    """Class by (key, version id), which the counts must agree with."""
    found = {(entry.key, entry.version_id): name for entry, name in index.storage_classes.entries(info)}
    names = [*found.values()]
    counts = index.storage_classes.of_state(info).counts
    assert counts == {name: ClassCount(names.count(name), names.count(name)) for name in {*names}}
    return found


def test_a_listing_replaces_what_the_one_before_showed(index: Index) -> None:
    info = put(index, 1, {"config": "v1", f"data/55/{NAME}": "v2", "data/55/x": "v3"})
    assert index.storage_classes.of_state(info).listed_at is None
    record(index, {("config", "v1"): "GLACIER", (f"data/55/{NAME}", "v2"): "GLACIER"})
    assert classes_of(index, info) == {("config", "v1"): "GLACIER", (f"data/55/{NAME}", "v2"): "GLACIER"}
    again = {(f"data/55/{NAME}", "v2"): "DEEP_ARCHIVE", ("data/55/x", "v3"): "MINE"}
    record(index, again, at=9000)
    assert classes_of(index, info) == again
    assert index.storage_classes.of_state(info).listed_at == 9000
    assert index.storage_classes.of_state(info).archived == (1, 1)
    record(index, {})
    assert classes_of(index, info) == {}


def test_what_no_state_has_is_not_kept(index: Index) -> None:
    info = put(index, 1, {"a": "v1"})
    record(index, {("a", "v0"): "GLACIER", ("b", "v1"): "GLACIER", ("no/such/directory", "v1"): "GLACIER"})
    assert classes_of(index, info) == {}


def test_each_bucket_has_its_own(index: Index) -> None:
    mine, other = put(index, 1, {"a": "v1"}), put(index, 1, {"a": "v1"}, bucket="bucket2")
    record(index, {("a", "v1"): "GLACIER"})
    assert (len(classes_of(index, mine)), len(classes_of(index, other))) == (1, 0)
    record(index, {}, bucket="bucket2")
    assert len(classes_of(index, mine)) == 1
    assert index.storage_classes.of_location(Location(BUCKET)).archived == (1, 1)
    assert index.storage_classes.of_location(Location("bucket2")).archived == (0, 0)


def test_neither_entries_nor_ids_nor_differences_know_of_classes(index: Index) -> None:
    contents = {"a": "v1", "b": "v1"}
    first, second = put(index, 1, contents), put(index, 2, contents)
    record(index, {("a", "v1"): "GLACIER"})
    assert list(index.entries(first)) == listed(contents)
    assert index.differences(first, second) == []
    assert not index.record(first, listed(contents)), "it is the same state"


def test_a_state_recorded_after_the_listing_is_not_known_of(index: Index) -> None:
    put(index, 1, {"a": "v1"})
    record(index, {("a", "v1"): "GLACIER"})
    later = put(index, 2, {"a": "v1", "b": "v1"})
    assert index.storage_classes.of_state(later).listed_at is None
    assert classes_of(index, later) == {("a", "v1"): "GLACIER"}, "what is known of its versions all the same"
    assert index.storage_classes.of_location(Location(BUCKET)).listed_at is None


def test_a_listing_of_a_prefix_shows_nothing_of_what_is_elsewhere(index: Index) -> None:
    whole = put(index, 1, {"a/x": "v1", "b/x": "v1"})
    one, other = put(index, 2, {"a/x": "v1"}, prefix="a/"), put(index, 2, {"b/x": "v1"}, prefix="b/")
    record(index, {("a/x", "v1"): "GLACIER", ("b/x", "v1"): "GLACIER"})
    record(index, {}, at=9000, prefix="a/")
    assert classes_of(index, one) == {}
    assert classes_of(index, other) == classes_of(index, whole) == {("b/x", "v1"): "GLACIER"}
    assert [index.storage_classes.of_state(info).listed_at for info in (whole, one, other)] == [5000, 9000, 5000]
    found = [index.storage_classes.of_location(Location(BUCKET, prefix)) for prefix in ("", "a/", "b/", "c/")]
    assert [classes.archived for classes in found] == [(1, 1), (0, 0), (1, 1), (0, 0)]
    assert {classes.listed_at for classes in found} == {5000}


def test_a_part_of_a_state_has_the_classes_of_its_own_versions(index: Index) -> None:
    info = put(index, 1, {"a/x": "v1", "a/b/y": "v1", "ab/z": "v1", "c": "v1"})
    record(index, {("a/x", "v1"): "GLACIER", ("a/b/y", "v1"): "MINE", ("ab/z", "v1"): "GLACIER"})
    part = index.storage_classes.of_state(info, "a/")
    assert part.counts == {"GLACIER": (1, 1), "MINE": (1, 1)}
    assert part.listed_at == 5000
    found = {(entry.key, name) for entry, name in index.storage_classes.entries(info, "a/")}
    assert found == {("a/x", "GLACIER"), ("a/b/y", "MINE")}
    assert index.storage_classes.of_state(info, "none/").counts == {}


def test_a_state_has_no_part_outside_its_prefix(index: Index) -> None:
    info = put(index, 1, {"a/x": "v1"}, prefix="a/")
    with pytest.raises(ValueError, match="does not cover bucket1/b"):
        index.storage_classes.of_state(info, "b/")
    with pytest.raises(ValueError, match=r"does not cover bucket1$"):
        list(index.storage_classes.entries(info, ""))


def test_a_state_that_is_not_recorded_has_no_classes(index: Index) -> None:
    put(index, 1, {"a": "v1"})
    record(index, {("a", "v1"): "GLACIER"})
    unknown = state(2, listed({"a": "v1"}))
    assert index.storage_classes.of_state(unknown) == StorageClasses(None)
    assert list(index.storage_classes.entries(unknown)) == []


changes = st.lists(st.dictionaries(st.sampled_from(["a", "a/b", "c"]), st.sampled_from(["v1", "v2"])), max_size=5)
shown = st.dictionaries(
    st.tuples(st.sampled_from(["a", "a/b", "c"]), st.sampled_from(["v1", "v2"])), st.sampled_from(["GLACIER", "MINE"])
)


@given(states=changes, classes=shown, between=st.integers(1, 9), forgotten=st.integers(0, 4))
def test_classes_stay_with_their_versions_whatever_states_come_and_go(
    states: list[dict[str, str]], classes: dict[tuple[str, str], str], between: int, forgotten: int
) -> None:
    with Index(_memory(), Path("memory")) as index:
        infos = {2 * n: contents for n, contents in enumerate(states, 1)}
        recorded = {put(index, second, contents): contents for second, contents in infos.items()}
        record(index, classes)
        if states and forgotten < len(states):
            gone = [*recorded][forgotten]
            index.forget([gone])
            del recorded[gone]
        inserted = state(between, listed({"a": "v2"}))
        index.record(inserted, listed({"a": "v2"}))
        for info, contents in recorded.items():
            expected = {
                (key, version): classes[key, version] for key, version in contents.items() if (key, version) in classes
            }
            assert classes_of(index, info) == expected


def _memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrations.apply(Database(connection))
    return connection


def test_an_index_without_classes_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    database = Database(path)
    migrations.apply(database, stop_before="m004_storage_classes")
    database.conn.close()
    with Index.open(path) as index:
        info = put(index, 1, {"a": "v1"})
        assert index.storage_classes.of_state(info).listed_at is None
        record(index, {("a", "v1"): "GLACIER"})
        assert len(classes_of(index, info)) == 1


def test_rows_are_added_in_transactions(index: Index) -> None:
    """Each row would be a transaction of its own, at ten times the cost."""
    statements: list[str] = []
    table = index.storage_classes.table()
    index._connection.set_trace_callback(statements.append)
    table.add_versions(ObjectVersion(f"a/{n}", "v", True, False, 1, "e", 1000, "GLACIER") for n in range(2000))
    index._connection.set_trace_callback(None)
    assert sum(text.startswith("INSERT OR REPLACE INTO temp.listed_class") for text in statements) == 2000
    assert (statements[0], statements[-1], statements.count("BEGIN")) == ("BEGIN", "COMMIT", 1)
    table.close()
