"""Directory listings of a state: stable positions, pages."""

from __future__ import annotations

import itertools

import pytest

from rwmfs.tree.contents import SingleState
from rwmfs.tree.listing import Listing
from tests.unit.fakes import FakeTree, entry_for


def make(*keys: str) -> SingleState:
    return SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own")


def test_locks_in_the_root_of_a_state_is_not_listed() -> None:
    contents = make("locks/x", "data/locks", "a")
    assert [entry.name for _, entry in Listing(contents, contents.root).read(0)] == ["a", "data"]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 3500])
def test_a_listing_can_be_read_from_any_position(count: int) -> None:
    names = sorted(f"{number:x}" for number in range(count))
    contents = make(*names)
    listing = Listing(contents, contents.root)
    whole = list(listing.read(0))
    assert [entry.name for _, entry in whole] == names
    assert [position for position, _ in whole] == list(range(1, count + 1))
    for position in (0, count, count // 2, count - 1, 1, count + 5):
        if position >= 0:
            assert [entry.name for _, entry in listing.read(position)] == names[position:]
            assert [entry.name for _, entry in Listing(contents, contents.root).read(position)] == names[position:]


def test_a_listing_read_in_pieces_reads_each_page_once() -> None:
    contents = make(*(f"{number:05}" for number in range(2500)))
    calls = 0
    children = contents.children

    def counted(directory: int, after: str = "", limit: int = 1000) -> object:
        nonlocal calls
        calls += 1
        return children(directory, after, limit)

    contents.children = counted  # type: ignore[assignment, method-assign]
    listing, position, seen = Listing(contents, contents.root), 0, 0
    while piece := list(itertools.islice(listing.read(position), 100)):
        position = piece[-1][0]
        seen += len(piece)
    assert seen == 2500
    assert calls <= 8
