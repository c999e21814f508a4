"""The spool of a capture: entries in any order in, sorted by key out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.errors import BadResponse
from rwm.index import CaptureSpool, Index
from rwm.model import Change, Entry, EntryBatch
from tests.unit.states import entry, listed


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Index.open(tmp_path_factory.mktemp("index") / "index.sqlite") as opened:
        yield opened


@pytest.fixture
def spool(index: Index) -> Iterator[CaptureSpool]:
    with closing(index.capture_spool()) as opened:
        yield opened


def add(spool: CaptureSpool, *batches: list[Entry]) -> None:
    spool.add(map(EntryBatch.of, batches))


def keys_of_blocks(spool: CaptureSpool) -> list[str]:
    """The first key of each block: what is not kept row by row."""
    return [key for (key,) in spool._connection.execute("SELECT first FROM temp.block ORDER BY first")]


keys = st.text(st.sampled_from("ab/\0ж\U0001f600"), min_size=1, max_size=4)


@given(batches=st.lists(st.lists(keys, min_size=1, max_size=6), max_size=6))
def test_all_entries_come_sorted_whatever_the_order_of_keys(index: Index, batches: list[list[str]]) -> None:
    with closing(index.capture_spool()) as spool:
        expected: list[Entry] = []
        for number, names in enumerate(batches):
            batch = [entry(key, f"v{number}", number) for key in names]
            is_new = len({*names}) == len(names) and {*names}.isdisjoint(each.key for each in expected)
            if is_new:
                add(spool, batch)
                expected += batch
            else:
                with pytest.raises(BadResponse, match="a key was listed twice"):
                    add(spool, batch)
            assert list(spool.entries()) == sorted(expected)
            assert spool.totals() == (len(expected), sum(each.size for each in expected))


def test_batches_in_order_are_kept_as_blocks(spool: CaptureSpool) -> None:
    add(spool, [entry("d/c"), entry("d/d")], [entry("d/a"), entry("d/b")], [entry("d/e")])
    assert keys_of_blocks(spool) == ["d/a", "d/c", "d/e"]


def test_keys_of_the_root_do_not_break_up_the_blocks_of_directories(spool: CaptureSpool) -> None:
    add(spool, [entry("a"), entry("z")], [entry("d/a"), entry("d/b")], [entry("d/c"), entry("d/d")])
    assert keys_of_blocks(spool) == ["d/a", "d/c"]
    assert [each.key for each in spool.entries()] == ["a", "d/a", "d/b", "d/c", "d/d", "z"]


def test_nothing_of_a_part_with_an_error_is_kept(spool: CaptureSpool) -> None:
    def cut_off() -> Iterator[EntryBatch]:
        yield EntryBatch.of([entry("b", size=7)])
        raise BadResponse("cut off")

    add(spool, [entry("a")])
    with pytest.raises(BadResponse, match="cut off"):
        spool.add(cut_off())
    assert (list(spool.entries()), spool.totals()) == ([entry("a")], (1, 1))


def test_a_new_spool_is_empty_and_nothing_of_it_is_in_the_index(index: Index) -> None:
    with closing(index.capture_spool()) as older:
        add(older, [entry("a")])
        with closing(index.capture_spool()) as spool:
            assert list(spool.entries()) == []
    assert index.states() == []


def test_totals_beyond_what_sqlite_can_sum(spool: CaptureSpool) -> None:
    size = (1 << 63) - 1
    add(spool, [entry(str(number), size=size) for number in range(3)])
    assert spool.totals() == (3, 3 * size)


def test_differences_from_another_state(spool: CaptureSpool) -> None:
    add(spool, listed({"Z": "v1", "b": "v2", "z": "v1", "\U0001f600": "v1"}))
    before = [EntryBatch.of(listed({"a": "v1", "b": "v1"})), EntryBatch.of(listed({"z": "v1", "я": "v1"}))]
    assert list(spool.differences(before)) == [
        Change("Z", entry("Z")),
        Change("a", None),
        Change("b", entry("b", "v2")),
        Change("я", None),
        Change("\U0001f600", entry("\U0001f600")),
    ]


def test_closed_spools_leave_no_tables(tmp_path: Path) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        spool = index.capture_spool()
        add(spool, [entry("a")])
        spool.close()
        assert index._connection.execute("SELECT count(*) FROM temp.sqlite_master").fetchone() == (0,)
