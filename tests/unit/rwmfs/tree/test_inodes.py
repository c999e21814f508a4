"""Inode numbers and directory listings over a state."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import TreeNode
from rwmfs.tree.contents import SingleState
from rwmfs.tree.inodes import FIRST_HASHED_INODE, ROOT_INODE, InodeTree, UnknownInode
from rwmfs.tree.listing import Listing
from tests.unit.fakes import FakeTree, entry_for


def make(*keys: str, bits: int = 62) -> InodeTree:
    return InodeTree(SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own"), bits)


def hold(tree: InodeTree, directory: int, name: str) -> int:
    found = tree.find(directory, name)
    assert found is not None
    return tree.add_lookup(directory, found).inode


def test_the_root() -> None:
    tree = make("a")
    assert tree.node(ROOT_INODE).directory == tree.contents.root
    tree.forget(ROOT_INODE, 5)
    assert tree.node(ROOT_INODE).inode == ROOT_INODE


def test_a_held_file_knows_its_entry() -> None:
    tree = make("data/ab/abc")
    data = tree.node(hold(tree, tree.contents.root, "data"))
    assert data.directory is not None
    ab = tree.node(hold(tree, data.directory, "ab"))
    assert ab.directory is not None
    file = tree.node(hold(tree, ab.directory, "abc"))
    assert file.directory is None
    entry = tree.state_entry(file)
    assert entry and entry.key == "data/ab/abc"


def test_a_file_that_the_state_has_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make("a")
    node = tree.node(hold(tree, tree.contents.root, "a"))
    monkeypatch.setattr(tree.contents, "child", lambda directory, name: None)
    with pytest.raises(UnknownInode):
        tree.state_entry(node)


def test_of_many_names_that_are_held_the_oldest_files_are_to_be_let_go_each_once() -> None:
    keys = [f"a/{number:04}" for number in range(3000)]
    tree = InodeTree(SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own"), dentry_limit=100)
    above = tree.node(hold(tree, tree.contents.root, "a"))
    assert above.directory is not None
    said: list[tuple[int, str]] = []
    for number in range(3000):
        held = hold(tree, above.directory, f"{number:04}")
        for directory, name in tree.pop_oldest_dentries():
            assert directory == above.inode
            said.append((directory, name))
            if number % 3:  # the kernel does what it likes
                tree.forget(tree.inode(above.directory, name), 1)
        assert tree.node(held).name == f"{number:04}"
    assert [name for _, name in said] == [f"{number:04}" for number in range(len(said))]
    assert 3000 - 100 <= len(said) < 3000
    assert tree.node(above.inode) is above


def test_names_in_a_directory_that_the_kernel_has_forgotten_are_left_to_it() -> None:
    """Somebody may watch a file by its inode alone."""
    keys = [f"{directory}/{number}" for directory in "ab" for number in range(9)]
    tree = InodeTree(SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own"), dentry_limit=10)
    above = {name: hold(tree, tree.contents.root, name) for name in "ab"}
    for name in "ab":
        directory = tree.node(above[name]).directory
        assert directory is not None
        for number in range(9):
            hold(tree, directory, str(number))
    tree.forget(above["a"], 1)
    assert tree.pop_oldest_dentries() == []
    assert tree.excess_dentries == 0


def test_a_number_is_the_same_after_everything_was_forgotten() -> None:
    tree = make("a", "b")
    first = hold(tree, tree.contents.root, "a")
    assert hold(tree, tree.contents.root, "a") == first
    tree.forget(first, 1)
    assert tree.node(first).name == "a"
    tree.forget(first, 1)
    assert len(tree) == 0
    with pytest.raises(UnknownInode):
        tree.node(first)
    assert hold(tree, tree.contents.root, "b") != first
    assert hold(tree, tree.contents.root, "a") == first
    assert first >= FIRST_HASHED_INODE


def test_names_that_another_part_of_the_filesystem_takes() -> None:
    tree = make("locks/x", "data/locks", "a")
    assert tree.find(tree.contents.root, "locks") is None
    assert [node.name for _, node in Listing(tree.contents, tree.contents.root).read(0)] == ["a", "data"]
    data = tree.find(tree.contents.root, "data")
    assert isinstance(data, TreeNode) and data.directory is not None
    assert tree.find(data.directory, "locks") is not None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh")), max_size=60))
def test_held_names_never_share_a_number(steps: list[tuple[bool, str]]) -> None:
    """Eight names, four hash values: collisions all the time."""
    tree = make(*"abcdefgh", bits=2)
    held: dict[str, list[int]] = {}
    for look_up, name in steps:
        if look_up:
            held.setdefault(name, []).append(hold(tree, tree.contents.root, name))
        elif name in held:
            tree.forget(held[name].pop(), 1)
            if not held[name]:
                del held[name]
        numbers = [set(numbers) for numbers in held.values()]
        assert all(len(own) == 1 for own in numbers), "a held name keeps its number"
        assert len(set().union(*numbers)) == len(held), "and shares it with no other"
        assert all(tree.node(own).name == name for name, numbers in held.items() for own in numbers)
        assert len(tree) == len(held)
        for name in held:
            assert tree.inode(tree.contents.root, name) == held[name][0]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 3500])
def test_a_listing_from_every_position(count: int) -> None:
    names = sorted(f"{number:x}" for number in range(count))
    tree = make(*names)
    listing = Listing(tree.contents, tree.contents.root)
    whole = list(listing.read(0))
    assert [node.name for _, node in whole] == names
    assert [position for position, _ in whole] == list(range(1, count + 1))
    for position in (0, count, count // 2, count - 1, 1, count + 5):
        if position >= 0:
            assert [node.name for _, node in listing.read(position)] == names[position:]
            assert [node.name for _, node in Listing(tree.contents, tree.contents.root).read(position)] == names[
                position:
            ]


def test_a_listing_in_pieces_reads_each_page_once() -> None:
    tree = make(*(f"{number:05}" for number in range(2500)))
    shown = tree.contents
    calls = 0
    children = shown.children

    def counted(directory: int, after: str = "", limit: int = 1000) -> object:
        nonlocal calls
        calls += 1
        return children(directory, after, limit)

    shown.children = counted  # type: ignore[assignment, method-assign]
    listing, position, seen = Listing(shown, shown.root), 0, 0
    while piece := list(itertools.islice(listing.read(position), 100)):
        position = piece[-1][0]
        seen += len(piece)
    assert seen == 2500
    assert calls <= 8
