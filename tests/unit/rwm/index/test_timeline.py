"""What is before and after a moment, where states of many prefixes are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import BadState
from rwm.index import Index, timeline
from rwm.index.schema import FOREVER
from rwm.index.timeline import Neighbour, NextMoments, free_moment, states_after, states_before

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


class TestRoomInASecond:
    """A machine can make any number of states below its prefix, all of one second."""

    @pytest.fixture(autouse=True)
    def few_moments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(timeline, "_MOMENTS", 40)

    def fill(self, connection: sqlite3.Connection, *prefixes: str) -> int:
        """Add states of the second 0 in turns, where there is room; the number of all."""
        for number in range(100):
            prefix = prefixes[number % len(prefixes)].format(number)
            try:
                moment = free_moment(connection, 1, prefix, 0)
            except BadState as error:
                assert "there is no room for another" in error.message
                continue
            insert(connection, Neighbour(f"{prefix} {number}", prefix, moment))
        return int(connection.execute("SELECT COUNT(*) FROM state").fetchone()[0])

    def test_states_of_one_prefix_leave_room_for_others(self, connection: sqlite3.Connection) -> None:
        assert self.fill(connection, "host1/", "host1/x{}/", "host1/deep/x{}/") == 20
        assert self.fill(connection, "host2/") == 30
        assert self.fill(connection, "host3/") == 35
        assert free_moment(connection, 1, "", 0) == 35
        assert self.fill(connection, "") == 40

    def test_and_for_those_beside_it_in_a_directory(self, connection: sqlite3.Connection) -> None:
        assert self.fill(connection, "sites/host1/x{}/") == 10
        assert free_moment(connection, 1, "sites/host2/", 0) == free_moment(connection, 1, "host3/", 0) == 10

    def test_every_depth_has_room_for_one(self, connection: sqlite3.Connection) -> None:
        assert free_moment(connection, 1, "a/" * 100, 0) == 0
