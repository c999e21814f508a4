"""The index against the plainest model there is: a dict of dicts."""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import BadResponse, IndexUnusable, StateNotFound, UsageError
from rwm.index import Index
from rwm.index.schema import FOREVER
from rwm.model import Entry, StateInfo, StateTree
from rwm.names import hidden_keys

BUCKET = "bucket1"


def state(second: int, entries: list[Entry], bucket: str = BUCKET) -> StateInfo:
    name = hashlib.sha256(repr((bucket, second, entries)).encode()).hexdigest()
    return StateInfo(name, bucket, second * 1000, "capture", len(entries), sum(e.size for e in entries), None)


def entry(key: str, version: str = "v1", size: int = 1) -> Entry:
    return Entry(key, version, size, f"etag-{version}", 1000)


def put(index: Index, second: int, contents: dict[str, str], bucket: str = BUCKET) -> StateInfo:
    entries = sorted(entry(key, version) for key, version in contents.items())
    info = state(second, entries, bucket)
    index.record(info, entries)
    return info


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.open(tmp_path / "index.sqlite")


keys = st.text(alphabet="ab/.", min_size=1, max_size=5)
contents = st.dictionaries(keys, st.sampled_from(["v1", "v2"]), max_size=6)


@given(history=st.lists(st.tuples(st.integers(1, 6), contents), max_size=8))
def test_states_in_any_order_leave_every_other_state_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, dict[str, str]]]
) -> None:
    index = Index.open(tmp_path_factory.mktemp("index") / "index.sqlite")
    model: dict[str, tuple[StateInfo, list[Entry]]] = {}
    for second, content in history:
        info = put(index, second, content)
        model[info.id] = (info, sorted(entry(key, version) for key, version in content.items()))
    for info, expected in model.values():
        assert list(index.entries(info)) == expected
        tree = index.tree(info)
        shown, hidden = files_of(tree), sorted(tree.hidden_keys())
        assert hidden == sorted(hidden_keys(e.key for e in expected))
        assert sorted(shown + hidden) == [e.key for e in expected]
        assert tree.hidden_count() == len(hidden)
    assert {info.id for info in index.states(BUCKET)} == set(model)
    moments = [index.moment(info) for info in index.states(BUCKET)]
    assert moments == sorted(set(moments))
    index.close()


def files_of(tree: StateTree) -> list[str]:
    """Keys of all files that a walk of the tree finds, in pages of two, each found by name too."""
    found, todo = [], [tree.root]
    while todo:
        directory, after = todo.pop(), ""
        while page := tree.children(directory, after, limit=2):
            after = page[-1].name
            for node in page:
                assert tree.child(directory, node.name) == node
                if node.entry:
                    found.append(node.entry.key)
                else:
                    assert node.directory is not None
                    todo.append(node.directory)
    return sorted(found)


@given(
    history=st.lists(st.tuples(st.integers(1, 6), contents), min_size=1, max_size=8),
    gone=st.sets(st.integers(0, 7)),
)
def test_forgetting_states_leaves_every_other_state_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, dict[str, str]]], gone: set[int]
) -> None:
    index = Index.open(tmp_path_factory.mktemp("index") / "index.sqlite")
    model = {put(index, second, content): content for second, content in history}
    forgotten = [info for n, info in enumerate(model) if n in gone]
    index.forget(forgotten)
    for info in forgotten:
        del model[info]
    assert set(index.states()) == set(model)
    for info, content in model.items():
        assert list(index.entries(info)) == sorted(entry(key, version) for key, version in content.items())
    if not model:
        assert index._connection.execute("SELECT count(*) FROM version").fetchone() == (0,)
    index.forget(forgotten)  # once more changes nothing
    index.close()


@given(history=st.lists(st.tuples(st.integers(1, 6), contents), min_size=1, max_size=6))
def test_references_say_which_states_need_a_version(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, dict[str, str]]]
) -> None:
    index = Index.open(tmp_path_factory.mktemp("index") / "index.sqlite")
    contents = {put(index, second, content): content for second, content in history}
    states = index.states(BUCKET)
    references = index.references(BUCKET)
    for key in {key for content in contents.values() for key in content}:
        found = {(needed.version_id, n) for needed, numbers in references.of(key) for n in numbers}
        assert found == {(contents[info][key], n) for n, info in enumerate(states) if key in contents[info]}
    assert references.of("never/there") == []
    index.close()


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
    with pytest.raises(IndexUnusable, match="has 2 objects, 1 are there"):
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
    assert index.states("one") == [one]
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


class TestResolve:
    def test_latest_time_id_and_prefix(self, index: Index) -> None:
        first, second = put(index, 10, {"k": "v1"}), put(index, 20, {"k": "v2"})
        assert index.resolve("latest", BUCKET) == second
        assert index.resolve("1970-01-01T00:00:19Z", BUCKET) == first
        assert index.resolve("1970-01-01T00:00:20.900Z", BUCKET) == second
        assert index.resolve(first.id) == first
        assert index.resolve(first.id[:10].upper(), BUCKET) == first

    def test_nothing_found_says_what_to_do(self, index: Index) -> None:
        put(index, 10, {})
        for text in ("latest", "1970-01-01"):
            with pytest.raises(StateNotFound) as error:
                index.resolve(text, "other")
            assert "rwm state capture other" in error.value.hint
        with pytest.raises(StateNotFound, match=r"at or before 1970-01-01T00:00:09Z"):
            index.resolve("1970-01-01T00:00:09Z", BUCKET)
        with pytest.raises(StateNotFound, match="begins with 0123"):
            index.resolve("0123", BUCKET)
        with pytest.raises(StateNotFound, match="is not a state"):
            index.resolve("snapshot", BUCKET)

    def test_an_ambiguous_prefix_names_the_candidates(self, index: Index) -> None:
        infos = [put(index, second, {}) for second in range(40)]
        prefix = next(c for c in "0123456789abcdef" if sum(i.id.startswith(c) for i in infos) > 1)
        with pytest.raises(StateNotFound, match=r"states .*begin with") as error:
            index.resolve(prefix, BUCKET)
        assert next(i for i in infos if i.id.startswith(prefix)).id[:12] in str(error.value)

    def test_latest_needs_a_bucket(self, index: Index) -> None:
        with pytest.raises(UsageError):
            index.resolve("latest")


class TestFile:
    def test_it_and_its_directory_are_private(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "index.sqlite"
        Index.open(path).close()
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_a_newer_one_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "index.sqlite"
        Index.open(path).close()
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE _sqlite_migrations SET name = 'm999_of_the_future' WHERE name LIKE 'm002%'")
        connection.close()
        with pytest.raises(IndexUnusable, match="newer version of RWM \\(m999_of_the_future\\)"):
            Index.open(path)

    def test_a_damaged_one_is_recognised(self, tmp_path: Path) -> None:
        path = tmp_path / "index.sqlite"
        path.write_bytes(b"not a database at all" * 1000)
        with pytest.raises(IndexUnusable) as error:
            Index.open(path)
        assert "damaged" in error.value.hint
        assert path.read_bytes().startswith(b"not a database")

    def test_a_symbolic_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "index.sqlite").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(IndexUnusable):
            Index.open(tmp_path / "index.sqlite")
        assert not (tmp_path / "elsewhere").exists()

    def test_readonly_cannot_write(self, tmp_path: Path) -> None:
        path = tmp_path / "index.sqlite"
        Index.open(path).close()
        with pytest.raises(IndexUnusable):
            Index.open(path, readonly=True).record(state(1, []), [])

    def test_two_first_runs_at_once(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        runs = [context.Process(target=open_and_put, args=(tmp_path / "index.sqlite", n)) for n in range(4)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert [run.exitcode for run in runs] == [0] * 4
        assert len(Index.open(tmp_path / "index.sqlite").states()) == 4


def open_and_put(path: Path, second: int) -> None:
    put(Index.open(path), second, {"k": f"v{second}"})


def test_incoming_refuses_a_key_that_comes_twice(index: Index) -> None:
    spool = index.incoming()
    spool.add([entry("b"), entry("a", size=5)])
    with pytest.raises(BadResponse, match="twice"):
        spool.add([entry("a", "v2")])
    assert [e.key for e in spool.entries()] == ["a", "b"]
    assert spool.totals() == (2, 6)
    spool.close()
