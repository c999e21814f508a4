"""A state as directories, rooted at its own prefix or below it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.index import Index
from rwm.names import hidden_keys
from tests.unit.states import entry, put, shown, state, walk

PREFIXES = ["", "host1/", "host1/data/", "host2/", "none/", "host1/x/"]
PARTS = st.sampled_from(["host1", "host2", "data", "config", "x", "", "..", "é", "ab" * 32])
keys = st.lists(PARTS, min_size=1, max_size=4).map("/".join).filter(bool)


@settings(max_examples=60, deadline=None)
@given(st.sets(keys, max_size=15), st.sets(keys, max_size=5))
def test_a_tree_at_a_prefix_is_the_part_of_the_whole(now: set[str], later: set[str]) -> None:
    with tempfile.TemporaryDirectory() as directory, Index.open(Path(directory) / "index.sqlite") as index:
        info = put(index, 1, dict.fromkeys(now, "v1"))
        put(index, 2, dict.fromkeys(later, "v1"))
        hidden = hidden_keys(now)
        for prefix in PREFIXES:
            tree = index.tree(info, prefix)
            part = [key for key in now if key.startswith(prefix)]
            expected = shown(key.removeprefix(prefix) for key in part if key not in hidden)
            assert walk(tree) == {prefix + path: names for path, names in expected.items()}
            assert sorted(tree.hidden_keys()) == sorted(key for key in part if key in hidden)
            assert tree.hidden_count() == len(hidden.keys() & set(part))
            assert tree.totals() == (len(part), sum(entry(key).size for key in part))
            assert (tree.prefix, tree.info) == (prefix, info)
            assert [entry.key for entry in index.entries(info, prefix)] == sorted(part)


def test_hidden_keys_elsewhere_are_looked_up_once_for_each_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        contents = {f"host2/{number}//x": "v1" for number in range(3)} | {"host1//a": "v1", "host1/b": "v1"}
        tree = index.tree(put(index, 1, contents), "host1/")
        assert list(tree.hidden_keys()) == ["host1//a"]
        statements = list[str]()
        index._connection.set_trace_callback(statements.append)
        assert list(tree.hidden_keys()) == ["host1//a"]
        assert not [statement for statement in statements if statement.startswith("SELECT parent")]


def test_a_tree_of_an_unrecorded_bucket_is_empty(tmp_path: Path) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        info = state(1, [])
        index.record(info, [])
        tree = index.tree(info, "host1/")
        assert (tree.children(tree.root), tree.totals(), list(tree.hidden_keys())) == ([], (0, 0), [])
