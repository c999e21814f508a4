"""The packs of a repository in a state, in the order of their upload, beside other states and directories."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import StateNotFound
from rwm.index import Index
from rwm.index.upload_order import PackOrder
from rwm.location import Location
from rwm.model import Entry, StateInfo
from tests.unit.states import BUCKET, state

ROOTS = ["", "host1/", "host1/data/host1/", "data/", "none/"]
HEX = ["0" * 64, "1" * 64, "ab" * 32]
NAMES = [*HEX, "short", "", ".."]
DIRECTORIES = [
    "data/00/",
    "data/ff/",
    "host1/data/00/",
    "host1/data/data/00/",
    "host1/data/host1/data/00/",
    "data/data/00/",
    "data/",
    "index/",
    "data/00/deeper/",
    "../data/00/",
]

keys = st.builds("{}{}".format, st.sampled_from(DIRECTORIES), st.sampled_from(NAMES))
versions = st.tuples(st.sampled_from(["v1", "ab" * 16]), st.integers(0, 3), st.just("e"), st.integers(0, 3))
contents = st.dictionaries(keys, versions, max_size=12).map(
    lambda found: sorted(Entry(key, *version) for key, version in found.items())
)
places = st.sampled_from([Location(BUCKET), Location(BUCKET), Location(BUCKET, "host1/"), Location("other")])


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def record(index: Index, second: int, entries: list[Entry]) -> StateInfo:
    info = state(second, entries)
    index.record(info, entries)
    return info


def packs_of(entries: list[Entry], root: str) -> set[Entry]:
    """What is two levels below the directory ``data`` of the root, and can be shown."""
    return {entry for entry in entries if entry.key.startswith(f"{root}data/") and _is_pack(entry.key, root)}


def _is_pack(key: str, root: str) -> bool:
    names = key.removeprefix(f"{root}data/").split("/")
    return len(names) == 2 and not {"", ".", ".."}.intersection(names)


def in_order(order: PackOrder) -> list[Entry]:
    found: list[Entry] = []
    while (entry := order.entry(len(found))) is not None:
        found.append(entry)
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), contents, places), min_size=1, max_size=5), st.sampled_from(ROOTS))
def test_ranks_are_the_packs_sorted_by_time(recorded: list[tuple[int, list[Entry], Location]], root: str) -> None:
    with tempfile.TemporaryDirectory() as directory, Index.open(Path(directory) / "index.sqlite") as index:
        states = {}
        for second, listing, at in recorded:
            entries = [entry for entry in listing if entry.key.startswith(at.prefix)]
            info = state(second, entries, at.bucket, prefix=at.prefix)
            index.record(info, entries)
            states[info] = entries
        for info, entries in states.items():
            if not root.startswith(info.prefix):
                with pytest.raises(ValueError, match="does not cover"):
                    index.upload_order(info, root)
                continue
            order = index.upload_order(info, root)
            found = in_order(order)
            assert set(found) == packs_of(entries, root)
            assert len(found) == len(set(found))
            assert [entry.last_modified for entry in found] == sorted(entry.last_modified for entry in found)
            assert [order.rank(entry) for entry in found] == list(range(len(found)))
            others = {entry for contents in states.values() for entry in contents}.difference(found)
            assert all(order.rank(entry) is None for entry in others)
            assert order.entry(-1) is None
            order.close()


def test_an_order_is_the_same_each_time(index: Index) -> None:
    entries = [Entry(f"data/{n % 7:02x}/{n:064x}", "v", 1, "e", 1000) for n in range(100)]
    info = record(index, 10, sorted(entries))
    one, two = index.upload_order(info), index.upload_order(info)
    assert in_order(one) == in_order(two)
    one.close()
    two.close()


def test_a_rank_among_many_packs_of_one_time_costs_few_statements(index: Index) -> None:
    entries = sorted(Entry(f"data/{n % 256:02x}/{n:064x}", "v", 1, "e", 1000) for n in range(3000))
    order = index.upload_order(record(index, 10, entries))
    last, statements = order.entry(len(entries) - 1), list[str]()
    assert last is not None
    order._connection.set_trace_callback(statements.append)
    assert order.rank(last) == len(entries) - 1
    assert len(statements) < 50
    order.close()


def test_a_state_without_packs(index: Index) -> None:
    order = index.upload_order(record(index, 10, [Entry("config", "v", 1, "e", 1)]))
    assert order.entry(0) is None
    assert order.rank(Entry("config", "v", 1, "e", 1)) is None
    order.close()


def test_a_state_that_is_forgotten(index: Index) -> None:
    info = state(10, [])
    with pytest.raises(StateNotFound, match="not in the index any more"):
        index.upload_order(info)


def test_an_order_stays_when_its_state_is_forgotten(index: Index) -> None:
    entries = [Entry(f"data/00/{name}", "v", 1, "e", time) for time, name in enumerate(HEX)]
    info = record(index, 10, entries)
    order = index.upload_order(info)
    index.forget([info])
    assert in_order(order) == entries
    order.close()
