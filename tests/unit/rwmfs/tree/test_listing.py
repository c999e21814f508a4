"""Directory listings of a state: stable positions, pages."""

from __future__ import annotations

import itertools

import pytest

from rwmfs.tree.contents import SingleState
from rwmfs.tree.listing import Listing
from tests.unit.fakes import FakeTree, entry_for


def make(*keys: str) -> SingleState:
    return SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own")


def directory(contents: SingleState, path: str) -> Listing:
    """The listing of a directory in the root, or of the root."""
    node = contents.child(contents.root, path) if path else None
    return Listing(contents, contents.root if node is None or node.directory is None else node.directory)


def test_locks_in_the_root_of_a_state_is_not_listed() -> None:
    contents = make("locks/x", "data/locks", "a")
    assert [entry.name for _, entry in Listing(contents, contents.root).read(1)] == ["a", "data"]


def test_locks_in_the_root_of_a_repository_is_not_listed() -> None:
    contents = make("a/config", "a/keys/k", "a/data/d", "a/locks/x", "b/config", "b/keys/k", "b/locks/x")
    repository, other = directory(contents, "a"), directory(contents, "b")
    assert repository.first == 1
    assert [entry.name for _, entry in repository.read(1)] == ["config", "data", "keys"]
    assert other.first == 0
    assert [entry.name for _, entry in other.read(0)] == ["config", "keys", "locks"]


@pytest.mark.parametrize("path", ["", "a"])
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 3500])
def test_a_listing_can_be_read_from_any_position(count: int, path: str) -> None:
    names = sorted(f"{number:x}" for number in range(count))
    contents = make("a/x", *(f"{path}/{name}".lstrip("/") for name in names))
    names = sorted({*names, "x" if path else "a"})
    count = len(names)
    listing = directory(contents, path)
    first = listing.first
    assert first == (not path)
    whole = list(listing.read(first))
    assert [entry.name for _, entry in whole] == names
    assert [position for position, _ in whole] == list(range(first + 1, first + count + 1))
    for skipped in {0, count, count // 2, count - 1, 1, count + 5}:
        assert [entry.name for _, entry in listing.read(first + skipped)] == names[skipped:]
        assert [entry.name for _, entry in directory(contents, path).read(first + skipped)] == names[skipped:]


def test_a_listing_read_in_pieces_reads_each_page_once() -> None:
    contents = make(*(f"{number:05}" for number in range(2500)))
    calls = 0
    children = contents.children

    def counted(directory: int, after: str = "", limit: int = 1000) -> object:
        nonlocal calls
        calls += 1
        return children(directory, after, limit)

    contents.children = counted  # type: ignore[assignment, method-assign]
    listing, position, seen = Listing(contents, contents.root), 1, 0
    while piece := list(itertools.islice(listing.read(position), 100)):
        position = piece[-1][0]
        seen += len(piece)
    assert seen == 2500
    assert calls <= 8
