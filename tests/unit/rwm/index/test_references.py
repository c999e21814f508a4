"""References are read ahead while keys come in their order, and are the same in any other order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.index import Index
from rwm.location import Location
from tests.unit.states import BUCKET, put

HEX = "0123456789abcdef"
NAMES = st.one_of(st.text(HEX, min_size=16, max_size=16), st.sampled_from(["config", "x", "ö", "z", ""]))
KEYS = st.builds("{}{}".format, st.sampled_from(["", "data/00/", "data/01/"]), NAMES).filter(bool)
LOOKUPS = st.lists(st.tuples(KEYS, st.booleans()), max_size=40)


@settings(max_examples=25)
@given(states=st.lists(st.dictionaries(KEYS, st.sampled_from(["v1", "v2"]), max_size=12), max_size=4), lookups=LOOKUPS)
@pytest.mark.parametrize("most", [1, 2, 512])
def test_any_order_of_keys(most: int, states: list[dict[str, str]], lookups: list[tuple[str, bool]]) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as name,
        Index.open(Path(name) / "index.sqlite") as index,
    ):
        patch.setattr("rwm.index.references._MOST_ROWS", most)
        for second, contents in enumerate(states, 1):
            put(index, second, contents)
        there = sorted({key for contents in states for key in contents})
        shared = index.references(Location(BUCKET))
        for key in [
            *there,
            *(there[sum(key.encode()) % len(there)] if known and there else key for key, known in lookups),
        ]:
            expected = [
                (version, [number for number, contents in enumerate(states) if contents.get(key) == version])
                for version in ("v1", "v2")
            ]
            found: dict[str, list[int]] = {"v1": [], "v2": []}
            for entry, numbers in shared.of(key):
                assert entry.key == key
                found[entry.version_id] += numbers
            assert [(version, sorted(numbers)) for version, numbers in found.items()] == expected


def test_keys_in_their_order_take_few_queries(tmp_path: Path) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        keys = [f"data/00/{number:016x}" for number in range(2000)]
        put(index, 1, dict.fromkeys(keys, "v1"))
        references = index.references(Location(BUCKET))
        queries: list[str] = []
        index._connection.set_trace_callback(queries.append)
        assert all(len(references.of(key)) == 1 for key in keys)
        in_order = len(queries)
        assert in_order < 30
        assert all(len(references.of(key)) == 1 for key in keys[::-1])  # the worst order: each page has one hit
        assert len(queries) - in_order < 3 * len(keys)
