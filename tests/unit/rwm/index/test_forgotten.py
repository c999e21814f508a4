"""A state that another process forgets while it is being read: it is unknown then, and nothing of it is absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rwm.errors import StateNotFound
from rwm.index import Index
from rwm.index.pending import Before
from rwm.model import StateInfo
from tests.unit.states import listed, put, state

# Beside its neighbours in time, which have what it has not: at its moment something else is found when it is gone.
BEFORE = {"a": "v1", "b": "v1", "data/x": "v1", "gone/x": "v1", "h/..": "v1"}
CONTENTS = {"a": "v2", "c": "v1", "data/x": "v2", "data/y": "v1", "d/e/f": "v1", "h/..": "v2", "a/../b": "v1"}
AFTER = {"a": "v3", "b": "v1", "new/x": "v1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def other(path: Path) -> Iterator[Index]:
    """What another process has."""
    with Index.open(path) as index:
        yield index


def record_all(index: Index) -> StateInfo:
    """Three states, and of them the one in the middle."""
    return [put(index, second, contents) for second, contents in enumerate((BEFORE, CONTENTS, AFTER), 1)][1]


Reading = Callable[[Index, StateInfo], object]
READINGS: dict[str, Reading] = {
    "entries": lambda index, info: list(index.entries(info)),
    "children": lambda index, info: index.tree(info).children(index.tree(info).root),
    "child": lambda index, info: index.tree(info).child(index.tree(info).root, "d"),
    "child without": lambda index, info: index.tree(info).child(index.tree(info).root, "gone"),
    "hidden keys": lambda index, info: sorted(index.tree(info).hidden_keys()),
    "hidden count": lambda index, info: index.tree(info).hidden_count(),
}


@pytest.mark.parametrize("reading", READINGS)
def test_forgotten_between_any_two_statements(path: Path, other: Index, reading: str) -> None:
    """The answer is the right one, or that there is no such state."""
    read = READINGS[reading]
    info = record_all(other)
    expected, outcomes = read(other, info), []
    for number in range(100):
        other.record(info, listed(CONTENTS))
        assert info in other.states()
        with Index.open(path) as index:
            count = 0

            def forget_at(statement: str, number: int = number) -> None:
                nonlocal count
                if count == number:
                    other.forget([info])
                count += 1

            index._connection.set_trace_callback(forget_at)
            try:
                assert read(index, info) == expected
                outcomes.append(True)
            except StateNotFound:
                outcomes.append(False)
            index._connection.set_trace_callback(None)
        if count <= number:
            break
    assert outcomes[0] is False and outcomes[-1] is True
    assert len(outcomes) > 3


def test_a_tree_that_was_open(path: Path, other: Index) -> None:
    info = record_all(other)
    with Index.open(path) as index:
        tree = index.tree(info)
        data = tree.child(tree.root, "data")
        assert data and data.directory
        other.forget([info])
        for look in (
            lambda: tree.child(tree.root, "data"),
            lambda: tree.child(tree.root, "never"),
            lambda: tree.child(data.directory or 0, "x"),
            lambda: tree.children(tree.root),
            lambda: tree.children(data.directory or 0),
            tree.hidden_count,
            lambda: list(tree.hidden_keys()),
        ):
            with pytest.raises(StateNotFound, match="not in the index any more"):
                look()
        other.record(info, listed(CONTENTS))
        assert [node.name for node in tree.children(tree.root)] == ["a", "c", "d", "data"]
        assert [node.name for node in tree.children(data.directory)] == ["x", "y"]


def test_a_state_that_came_back_at_another_moment(path: Path, other: Index) -> None:
    """Of two states of one second, forgotten and recorded the other way round, each is at the other's place."""
    one, two = state(5, listed(CONTENTS)), state(5, listed(BEFORE))
    other.record(one, listed(CONTENTS))
    other.record(two, listed(BEFORE))
    with Index.open(path) as index:
        tree = index.tree(one)
        other.forget([one, two])
        other.record(two, listed(BEFORE))
        other.record(one, listed(CONTENTS))
        with pytest.raises(StateNotFound):
            tree.children(tree.root)
        with pytest.raises(StateNotFound):
            tree.child(tree.root, "gone")
        assert list(index.entries(one)) == listed(CONTENTS)


def test_a_state_that_arrives_upon_it_is_compared_anew(path: Path, other: Index) -> None:
    before, info = put(other, 1, BEFORE), state(3, listed(CONTENTS))
    between = put(other, 2, AFTER)
    with Index.open(path) as index:
        pending = index.prepare(info, listed(CONTENTS))
        assert pending.before == Before((between.id,), between.id)
        other.forget([between])
        assert not pending.try_to_record("own", None)
        assert pending.record("own", None)
        assert pending.before == Before((before.id,), before.id)
        assert list(index.entries(info)) == listed(CONTENTS)
