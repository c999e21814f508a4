"""Forgetting states of overlapping locations: every other state stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.index import Index
from rwm.index.schema import FOREVER
from tests.unit.states import listed, put


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def rows(index: Index) -> list[tuple[int, int]]:
    """The intervals, in seconds; the last number is 0 for what is current."""
    found = index._connection.execute("SELECT since, until FROM version").fetchall()
    return sorted((since // 1000, 0 if until == FOREVER else until // 1000) for since, until in found)


def test_the_next_state_of_a_key_is_the_first_one_that_covers_it(index: Index) -> None:
    """Here the one of the inner prefix is before that of the outer one, and another is of neither."""
    first = put(index, 1, {"a/b/x": "v1", "a/y": "v1"})
    second = put(index, 2, {"a/b/x": "v2", "a/y": "v2"})
    put(index, 3, {"c/x": "v2"}, prefix="c/")
    inner = put(index, 4, {"a/b/x": "v2"}, prefix="a/b/")
    outer = put(index, 5, {"a/b/x": "v2", "a/y": "v2"}, prefix="a/")
    index.forget([second])
    assert list(index.entries(first)) == listed({"a/b/x": "v1", "a/y": "v1"})
    assert list(index.entries(inner)) == listed({"a/b/x": "v2"})
    assert list(index.entries(outer)) == listed({"a/b/x": "v2", "a/y": "v2"})
    assert rows(index) == [(1, 4), (1, 5), (3, 0), (4, 0), (5, 0)]


def test_rows_are_joined_where_a_state_of_a_prefix_was_between(index: Index) -> None:
    put(index, 1, {"a/x": "v1", "b": "v1"})
    between = put(index, 2, {"a/x": "v2"}, prefix="a/")
    put(index, 3, {"a/x": "v1", "b": "v1"})
    assert rows(index) == [(1, 0), (1, 2), (2, 3), (3, 0)]
    index.forget([between])
    assert rows(index) == [(1, 0), (1, 0)]


def test_no_row_remains_of_the_only_state_of_a_prefix(index: Index) -> None:
    machine = put(index, 1, {"a/x": "v1"}, prefix="a/")
    put(index, 2, {"b/x": "v1"}, prefix="b/")
    index.forget([machine])
    assert rows(index) == [(2, 0)]
