"""An index in which somebody changed the entries of states: their ids tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from rwm.errors import IndexDamaged, StateNotFound
from rwm.index import Index
from rwm.model import StateInfo
from tests.unit.states import listed, put, state

KEYS = [f"host1/data/{n:02x}/{n * 7919:064x}" for n in range(8)] + ["a", "host1/config", "host1/é\n"]
KEYS.append("host1/aabbccddeeff0011/file")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def states(path: Path) -> list[StateInfo]:
    """Three states of the bucket, of which the first two share most versions, and one of a prefix between them."""
    with Index.open(path) as index:
        first = put(index, 1, dict.fromkeys(KEYS, "v1"))
        part = put(index, 2, dict.fromkeys((key for key in KEYS if key.startswith("host1/")), "v1"), prefix="host1/")
        second = put(index, 3, {**dict.fromkeys(KEYS, "v1"), "b": "v1"})
        third = put(index, 4, {**dict.fromkeys(KEYS, "v2"), "c": "v1"})
    return [first, part, second, third]


def change(path: Path, statement: str) -> None:
    """What an editor of SQLite files does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount == 1


def altered(path: Path, states: Iterable[StateInfo]) -> list[StateInfo]:
    """The states that are refused, each checked alone."""
    found = []
    with Index.open(path, readonly=True) as index:
        for info in states:
            try:
                index.check_ids([info])
            except IndexDamaged as error:
                assert info.id[:12] in error.message and "has other entries than its id says" in error.message
                assert "move the index away" in error.hint
                found.append(info)
    return found


def test_honest_states_are_as_their_ids_say(path: Path, states: list[StateInfo]) -> None:
    assert altered(path, states) == []
    with Index.open(path) as index:
        index.check_ids(states)
        index.check_ids([])


@pytest.mark.parametrize(
    "assignment",
    [
        "version_id = 'v7'",
        "size = size + 1",
        "etag = 'other'",
        "last_modified = last_modified + 1000",
        "name = 'config2'",
        "since = since + 1",
    ],
)
def test_the_states_that_have_a_changed_entry(path: Path, states: list[StateInfo], assignment: str) -> None:
    first, part, second, third = states
    change(path, f"UPDATE version SET {assignment} WHERE name = 'config' AND version_id = 'v1'")
    assert altered(path, states) == ([first] if assignment.startswith("since") else [first, part, second])
    with Index.open(path) as index:
        index.check_ids([third])
        with pytest.raises(IndexDamaged, match=f"state {first.id[:12]} "):
            index.check_ids([first, third])
        if not assignment.startswith("since"):
            with pytest.raises(IndexDamaged, match=rf"state {first.id[:12]} .*\(and 1 more\)"):
                index.check_ids([first, second, third])


@pytest.mark.parametrize("assignment", ["last_modified = 1 << 62", "version_id = 5", "name = 7", "etag = x'ff'"])
def test_values_that_no_state_has(path: Path, states: list[StateInfo], assignment: str) -> None:
    change(path, f"UPDATE version SET {assignment} WHERE name = 'config' AND version_id = 'v1'")
    assert altered(path, states[:3]) == states[:3]


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE version SET name = lower(hex(name)) WHERE hex(name) = '{0:064X}' AND version_id = 'v1'",
        "UPDATE directory SET name = lower(hex(name)) WHERE hex(name) = 'AABBCCDDEEFF0011'",
        "UPDATE directory SET bucket = bucket + 1 WHERE name = 'data'",
    ],
)
def test_rows_that_a_prune_does_not_find_by_their_names(path: Path, states: list[StateInfo], statement: str) -> None:
    """The entries read the same: the names as other text, or below a directory of another bucket."""
    change(path, statement)
    with Index.open(path) as index:
        assert len([*index.entries(states[0])]) == states[0].objects
    assert states[0] in altered(path, states)


def test_an_entry_that_was_removed_with_the_count_of_objects(path: Path, states: list[StateInfo]) -> None:
    """The number of entries alone would not tell."""
    *_, second, third = states
    change(path, "DELETE FROM version WHERE name = 'b'")
    change(path, f"UPDATE state SET objects = objects - 1 WHERE id = '{second.id}'")
    with Index.open(path) as index:
        (found,) = [info for info in index.states() if info.id == second.id]
        assert len([*index.entries(found)]) == found.objects
    assert altered(path, [found, third]) == [found]


def test_one_that_is_not_recorded_any_more(path: Path, states: list[StateInfo]) -> None:
    with Index.open(path) as index:
        index.forget(states[:1])
        with pytest.raises(StateNotFound):
            index.check_ids(states[:1])


def test_an_id_that_was_computed_anew_is_not_noticed(path: Path, states: list[StateInfo]) -> None:
    """What is left to whoever can write the file: docs/threat-model.md says so."""
    false = listed({**dict.fromkeys(KEYS, "v2"), "a": "v7", "c": "v1"})
    info = state(4, false)
    change(path, "UPDATE version SET version_id = 'v7', etag = 'etag-v7' WHERE name = 'a' AND version_id = 'v2'")
    change(path, f"UPDATE state SET id = '{info.id}', bytes = {info.bytes} WHERE id = '{states[-1].id}'")
    with Index.open(path) as index:
        assert [*index.entries(info)] == false
        index.check_ids([info])


def test_a_state_that_is_recorded_again_meanwhile_is_not_judged(
    path: Path, states: list[StateInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows were perhaps those of another state."""
    with Index.open(path) as index:
        moments = iter([index.moment(states[0]), index.moment(states[0]) + 1])
        monkeypatch.setattr("rwm.index.find.Finder.moment", lambda *_: next(moments))
        with pytest.raises(StateNotFound, match="forgotten while it was read"):
            index.check_ids(states[:1])
