"""What is before and after a moment, where states of many prefixes are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.index import Index
from rwm.index.schema import FOREVER
from rwm.index.timeline import Neighbour, NextMoments, states_after, states_before

PREFIXES = ["", "a/", "a/b/", "a/b/c/", "ab/", "b/"]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with Index.open(tmp_path / "index.sqlite") as index:
        index._connection.execute("INSERT INTO bucket VALUES (1, 'one')")
        yield index._connection


def insert(connection: sqlite3.Connection, *states: Neighbour) -> None:
    connection.executemany(
        "INSERT INTO state (id, bucket, prefix, moment, captured_at, origin, objects, bytes) "
        "VALUES (?, 1, ?, ?, 0, '', 0, 0)",
        states,
    )


def test_the_nearest_states_end_with_one_that_covers_the_prefix(connection: sqlite3.Connection) -> None:
    states = [Neighbour(prefix or "whole", prefix, number) for number, prefix in enumerate(PREFIXES, 1)]
    insert(connection, *states)
    insert(connection, Neighbour("later", "a/", 7))
    for prefix, expected in {
        "": ["b/", "ab/", "a/b/c/", "a/b/", "a/", "whole"],
        "a/": ["a/b/c/", "a/b/", "a/"],
    }.items():
        assert [state.id for state in states_before(connection, 1, prefix, 7)] == expected
    assert [state.id for state in states_before(connection, 1, "a/b/x/", 7)] == ["a/b/"]
    assert [state.id for state in states_before(connection, 1, "", 8)] == ["later", "b/", "ab/", "whole"]
    assert [state.id for state in states_after(connection, 1, "a/b/", 1)] == ["a/"]
    assert [state.id for state in states_after(connection, 1, "", 4)] == ["ab/", "b/", "later"]
    assert states_before(connection, 1, "c/", 1) == states_after(connection, 2, "", 0) == []


@given(st.dictionaries(st.sampled_from(PREFIXES), st.integers(1, 9)), st.sampled_from([*PREFIXES, "a/x/", "a/b/c/d/"]))
def test_the_next_moment_is_that_of_the_first_state_that_covers_the_directory(later: dict[str, int], path: str) -> None:
    states = [Neighbour("", prefix, moment) for prefix, moment in later.items()]
    covering = [state.moment for state in states if path.startswith(state.prefix)]
    assert NextMoments(states).of(path) == min([*covering, FOREVER])
