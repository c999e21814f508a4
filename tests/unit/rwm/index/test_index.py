"""Recording states: what is stored of them, and what happens when it does not come to an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm.errors import BadResponse, BadState, IndexUnusable
from rwm.index import Index
from rwm.index.schema import FOREVER
from rwm.location import Location
from rwm.model import Change, Entry, EntryBatch
from tests.unit.states import BUCKET, entry, listed, put, state


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.open(tmp_path / "index.sqlite")


def test_a_version_that_was_overwritten_in_place_is_another_one(index: Index) -> None:
    """Without versioning, or while it is suspended, every version is called null."""
    before, after = Entry("k", "null", 1, "one", 1000), Entry("k", "null", 2, "two", 2000)
    infos = [state(1, [before]), state(3, [after]), state(2, [before])]
    for info, contents in zip(infos, ([before], [after], [before]), strict=True):
        index.record(info, contents)
    assert [list(index.entries(info)) for info in infos] == [[before], [after], [before]]


def test_a_key_with_a_thousand_slashes(index: Index) -> None:
    deep = "/" * 1000 + "x"
    clean = put(index, 1, {"a": "v1"})
    info = put(index, 2, {deep: "v1", "a/" * 400 + "x": "v1", "a": "v1"})
    assert [e.key for e in index.entries(info)] == sorted([deep, "a/" * 400 + "x", "a"])
    assert [e.key for e in index.entries(clean)] == ["a"]
    assert sorted(index.tree(info).hidden_keys()) == sorted([deep, "a"])


def test_rows_that_are_missing_are_noticed(index: Index) -> None:
    info = put(index, 1, {"a": "v1", "b": "v1"})
    index._connection.execute("DELETE FROM version WHERE name = 'b'")
    with pytest.raises(IndexUnusable, match="recorded with 2 objects, but has 1"):
        list(index.entries(info))


def test_rows_grow_with_what_changes_not_with_states(index: Index) -> None:
    contents = {f"data/{n:02x}/{n}": "v1" for n in range(100)}
    for second in range(1, 31):
        contents[f"data/00/new{second}"] = "v1"
        put(index, second, contents)
    rows = index._connection.execute("SELECT count(*), count(DISTINCT until) FROM version").fetchone()
    assert rows == (130, 1)


def test_a_version_that_stays_has_one_row_that_is_open(index: Index) -> None:
    put(index, 1, {"config": "v1"})
    put(index, 3, {"config": "v1"})
    put(index, 2, {"config": "v1"})
    assert index._connection.execute("SELECT since, until FROM version").fetchall() == [(1000, FOREVER)]


def test_buckets_do_not_mix(index: Index) -> None:
    one, two = put(index, 1, {"k": "v1"}, "one"), put(index, 1, {"k": "v2", "j": "v1"}, "two")
    assert [e.version_id for e in index.entries(one)] == ["v1"]
    assert [e.key for e in index.entries(two)] == ["j", "k"]
    assert index.states(Location("one")) == [one]
    assert index.states() == [one, two]


def test_the_same_state_is_recorded_once(index: Index) -> None:
    info = state(1, [entry("k")])
    assert index.record(info, [entry("k")])
    assert not index.record(info, [entry("k")])


def test_a_failure_while_recording_leaves_the_index_as_it_was(index: Index) -> None:
    before = put(index, 1, {"a": "v1"})

    def cut_off() -> list[Entry]:
        raise BadResponse("cut off")

    with pytest.raises(BadResponse):
        index.record(state(2, []), (entry for entry in cut_off()))
    assert index.states() == [before]
    assert [e.key for e in index.entries(before)] == ["a"]


def test_the_import_spool_refuses_a_key_that_comes_twice(index: Index) -> None:
    spool = index.import_spool()
    spool.add([entry("b"), entry("a", size=5)])
    with pytest.raises(BadResponse, match="twice"):
        spool.add([entry("a", "v2")])
    assert [e.key for e in spool.entries()] == ["a", "b"]
    assert spool.totals() == (2, 6)
    spool.close()


class TestImportSpool:
    """The spool of a state that is on its way."""

    def test_what_is_removed_has_to_be_there(self, index: Index) -> None:
        spool = index.import_spool()
        spool.add([entry("a"), entry("b")])
        spool.apply([Change("a", None), Change("b", entry("b", "v2", 7)), Change("c", entry("c"))])
        assert list(spool.entries()) == [entry("b", "v2", 7), entry("c")]
        assert spool.totals() == (2, 8)
        with pytest.raises(BadState, match="the key 'a' is removed, but the state before does not have it"):
            spool.apply([Change("a", None)])
        spool.clear()
        assert (list(spool.lines()), spool.totals()) == ([], (0, 0))

    def test_a_new_one_is_empty_and_nothing_of_it_is_in_the_index(self, index: Index) -> None:
        index.import_spool().add([entry("a")])
        assert list(index.import_spool().entries()) == []
        assert index.states() == []

    def test_totals_beyond_what_sqlite_can_sum(self, index: Index) -> None:
        spool, size = index.import_spool(), (1 << 63) - 1
        spool.add(entry(str(number), size=size) for number in range(3))
        assert spool.totals() == (3, 3 * size)

    def test_differences_are_sorted_by_byte(self, index: Index) -> None:
        before = listed({"a": "v1", "b": "v1", "z": "v1", "я": "v1"})
        spool = index.import_spool()
        spool.add(reversed(listed({"Z": "v1", "b": "v2", "z": "v1", "\U0001f600": "v1"})))
        assert list(spool.differences([EntryBatch.of(before)])) == [
            Change("Z", entry("Z")),
            Change("a", None),
            Change("b", entry("b", "v2")),
            Change("я", None),
            Change("\U0001f600", entry("\U0001f600")),
        ]


def test_a_thousand_states_of_one_second_and_no_more(index: Index) -> None:
    first = put(index, 7, {"k": "first"})
    index._connection.execute("BEGIN")
    index._connection.executemany(
        "INSERT INTO state (id, bucket, moment, captured_at, origin, objects, bytes) VALUES (?, 1, ?, 7000, '', 1, 1)",
        [(str(number), 7000 + number) for number in range(1, 999)],
    )
    index._connection.execute("COMMIT")
    last = put(index, 7, {"k": "last"})
    with pytest.raises(BadState, match="no room for another"):
        put(index, 7, {"k": "one more"})
    assert [index.moment(info) for info in (first, last)] == [7000, 7999]
    assert put(index, 8, {"k": "next"}) == index.states()[-1]
    assert [one.version_id for info in (first, last) for one in index.entries(info)] == ["first", "last"]


def test_the_number_of_files_of_a_backup_is_replaced_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "counts.sqlite"
    with Index.open(path) as index:
        assert index.file_counts.last(Location(BUCKET), "home") is None
        for number in (4213, 7):
            index.file_counts.record(Location(BUCKET), "home", number)
        assert index.states() == []
    with Index.open(path, readonly=True) as index:
        assert index.file_counts.last(Location(BUCKET), "home") == 7
        with pytest.raises(IndexUnusable, match="readonly"):
            index.file_counts.record(Location(BUCKET), "home", 8)


def test_each_repository_in_a_bucket_has_numbers_of_its_own(index: Index) -> None:
    locations = [Location(BUCKET, prefix) for prefix in ("", "host1/", "host2/")]
    for number, location in enumerate(locations):
        index.file_counts.record(location, "home", number)
    assert [index.file_counts.last(location, "home") for location in locations] == [0, 1, 2]


@pytest.mark.parametrize("key", ["host2/k", "k", "host1", "host10/k"])
def test_a_key_outside_of_its_prefix_is_no_part_of_a_state(index: Index, key: str) -> None:
    before = put(index, 1, {"host1/k": "v1", "host2/k": "v1"})
    entries = listed({"host1/k": "v2", key: "v2"})
    with pytest.raises(BadState, match="host1 has a key in"):
        index.record(state(2, entries, prefix="host1/"), entries)
    assert index.states() == [before]
    assert list(index.entries(before)) == listed({"host1/k": "v1", "host2/k": "v1"})


def test_what_one_prefix_costs_does_not_grow_with_the_others(index: Index) -> None:
    def steps_for(others: range) -> int:
        for number in others:
            put(index, 1, {f"host{number}/data/{n}/x": "v1" for n in range(5)}, prefix=f"host{number}/")
        steps = [0]

        def count() -> None:
            steps[0] += 1

        index._connection.set_progress_handler(count, 10)  # called after ten instructions of SQLite's machine
        info = put(index, 2, {"mine/data/1/x": "v1"}, prefix="mine/")
        tree = index.tree(info)
        assert (len(list(index.entries(info))), len(tree.children(tree.root))) == (1, 1)
        index.forget([info])
        index._connection.set_progress_handler(None, 0)
        return steps[0]

    assert steps_for(range(2, 100)) < 2 * steps_for(range(2))


def test_a_part_that_the_state_does_not_cover_is_no_tree(index: Index) -> None:
    info = put(index, 1, {"host1/k": "v1"}, prefix="host1/")
    for prefix in ("", "host10/", "host2/"):
        with pytest.raises(ValueError, match="does not cover"):
            index.tree(info, prefix)
