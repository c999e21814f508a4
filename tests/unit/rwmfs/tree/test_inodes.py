"""Inodes, lookup counts, and the dentries to invalidate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.model import TreeNode
from rwmfs.tree.contents import SingleState
from rwmfs.tree.inodes import FIRST_HASHED_INODE, ROOT_INODE, InodeTree, UnknownInode
from tests.unit.fakes import FakeTree, entry_for


def make(*keys: str, bits: int = 62) -> InodeTree:
    return InodeTree(SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own"), bits)


def add_lookup(tree: InodeTree, directory: int, name: str) -> int:
    found = tree.find(directory, name)
    assert found is not None
    return tree.add_lookup(directory, found).inode


def test_the_root_is_never_forgotten() -> None:
    tree = make("a")
    assert tree.node(ROOT_INODE).directory == tree.contents.root
    tree.forget(ROOT_INODE, 5)
    assert tree.node(ROOT_INODE).inode == ROOT_INODE


def test_the_state_entry_of_a_file() -> None:
    tree = make("data/ab/abc")
    data = tree.node(add_lookup(tree, tree.contents.root, "data"))
    assert data.directory is not None
    ab = tree.node(add_lookup(tree, data.directory, "ab"))
    assert ab.directory is not None
    file = tree.node(add_lookup(tree, ab.directory, "abc"))
    assert file.directory is None
    entry = tree.state_entry(file)
    assert entry and entry.key == "data/ab/abc"


def test_a_name_that_is_gone_is_an_unknown_inode(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make("a")
    node = tree.node(add_lookup(tree, tree.contents.root, "a"))
    monkeypatch.setattr(tree.contents, "child", lambda directory, name: None)
    with pytest.raises(UnknownInode):
        tree.state_entry(node)


def test_above_the_limit_the_oldest_dentries_are_popped_each_once() -> None:
    keys = [f"a/{number:04}" for number in range(3000)]
    tree = InodeTree(SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own"), dentry_limit=100)
    above = tree.node(add_lookup(tree, tree.contents.root, "a"))
    assert above.directory is not None
    popped: list[tuple[int, str]] = []
    for number in range(3000):
        newest = add_lookup(tree, above.directory, f"{number:04}")
        for directory, name in tree.pop_oldest_dentries():
            assert directory == above.inode
            popped.append((directory, name))
            if number % 3:  # the kernel need not forget all of them
                tree.forget(tree.inode(above.directory, name), 1)
        assert tree.node(newest).name == f"{number:04}"
    assert [name for _, name in popped] == [f"{number:04}" for number in range(len(popped))]
    assert 3000 - 100 <= len(popped) < 3000
    assert tree.node(above.inode) is above


def test_dentries_in_a_forgotten_directory_are_not_popped() -> None:
    """inotify keeps a file without its directory."""
    keys = [f"{directory}/{number}" for directory in "ab" for number in range(9)]
    tree = InodeTree(SingleState(FakeTree(entry_for(key, 7) for key in keys), lambda info: "own"), dentry_limit=10)
    above = {name: add_lookup(tree, tree.contents.root, name) for name in "ab"}
    for name in "ab":
        directory = tree.node(above[name]).directory
        assert directory is not None
        for number in range(9):
            add_lookup(tree, directory, str(number))
    tree.forget(above["a"], 1)
    assert tree.pop_oldest_dentries() == []
    assert tree.excess_dentries == 0


def test_a_name_gets_the_same_inode_after_it_was_forgotten() -> None:
    tree = make("a", "b")
    first = add_lookup(tree, tree.contents.root, "a")
    assert add_lookup(tree, tree.contents.root, "a") == first
    tree.forget(first, 1)
    assert tree.node(first).name == "a"
    tree.forget(first, 1)
    assert len(tree) == 0
    with pytest.raises(UnknownInode):
        tree.node(first)
    assert add_lookup(tree, tree.contents.root, "b") != first
    assert add_lookup(tree, tree.contents.root, "a") == first
    assert first >= FIRST_HASHED_INODE


def test_locks_in_the_root_of_a_state_is_hidden() -> None:
    tree = make("locks/x", "data/locks", "a")
    assert tree.find(tree.contents.root, "locks") is None
    data = tree.find(tree.contents.root, "data")
    assert isinstance(data, TreeNode) and data.directory is not None
    assert tree.find(data.directory, "locks") is not None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh")), max_size=60))
def test_names_in_the_table_never_share_an_inode(steps: list[tuple[bool, str]]) -> None:
    """Eight names, four hash values: collisions all the time."""
    tree = make(*"abcdefgh", bits=2)
    inodes: dict[str, list[int]] = {}
    for look_up, name in steps:
        if look_up:
            inodes.setdefault(name, []).append(add_lookup(tree, tree.contents.root, name))
        elif name in inodes:
            tree.forget(inodes[name].pop(), 1)
            if not inodes[name]:
                del inodes[name]
        by_name = [set(lookups) for lookups in inodes.values()]
        assert all(len(own) == 1 for own in by_name), "a name keeps its inode"
        assert len(set().union(*by_name)) == len(inodes), "no two names share one"
        assert all(tree.node(inode).name == name for name, lookups in inodes.items() for inode in lookups)
        assert len(tree) == len(inodes)
        for name in inodes:
            assert tree.inode(tree.contents.root, name) == inodes[name][0]
