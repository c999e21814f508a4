"""A state beside a listing: in any order, with anything else in it, and the same as by plain sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rwm.errors import IndexUnusable
from rwm.index import Index
from rwm.model import Entry, ObjectVersion, StateInfo
from tests.unit.states import BUCKET, listed, put, state

PACK = "5" * 64
KEYS = ["config", "a", "a/b", "a//c", "a/", f"data/55/{PACK}", "h/config", f"h/data/55/{PACK}", "é\U0001f600", "\x01"]
CONTENTS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["v1", "v2", "ab" * 8, "null"]))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.open(tmp_path / "index.sqlite") as index:
        yield index


def version(entry: Entry, **changes: object) -> ObjectVersion:
    plain = ObjectVersion(entry.key, entry.version_id, False, False, entry.size, entry.etag, entry.last_modified)
    return plain._replace(**changes)  # type: ignore[arg-type]


def in_parts(items: list[ObjectVersion]) -> Iterator[list[ObjectVersion]]:
    return (items[start : start + 3] for start in range(0, len(items), 3))


@settings(max_examples=30)
@given(CONTENTS, CONTENTS, st.data())
def test_what_is_shown_and_what_is_missing_are_the_whole_state(
    contents: Mapping[str, str], other: Mapping[str, str], data: st.DataObject
) -> None:
    entries, others = listed(contents), listed(other)
    with TemporaryDirectory() as name, Index.open(Path(name) / "index.sqlite") as index:
        put(index, 1, other)
        info = put(index, 2, contents)
        put(index, 3, other)
        there = [entry for entry in entries if data.draw(st.booleans())]
        strangers = [entry for entry in others if entry not in entries]
        listing = data.draw(st.permutations([*map(version, there), *map(version, strangers)]))
        with closing(index.listed_versions(info)) as table:
            for part in in_parts(listing):
                table.add(part)
            shown = [one.entry for one in table.read()]
            assert sorted(shown) == sorted(there)
            assert list(table.missing()) == [entry for entry in entries if entry not in there]
            assert {one.fault for one in table.read()} <= {None}


def test_pages_and_comparisons_have_no_seams(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rwm.index.listed_versions._PAGE", 2)
    monkeypatch.setattr("rwm.index.listed_versions._MATCH", 3)
    contents = {f"data/{number % 3}/{number:064x}": "v1" for number in range(20)}
    info = put(index, 1, contents)
    with closing(index.listed_versions(info)) as table:
        for part in in_parts([version(entry) for entry in listed(contents)]):
            table.add(part)
        assert sorted(one.entry for one in table.read()) == listed(contents)
        assert list(table.missing()) == []


def test_classes_and_results_come_with_the_versions(index: Index) -> None:
    info = put(index, 1, {"config": "v1", f"data/55/{PACK}": "ab" * 8})
    config, pack = index.entries(info)
    index.verifications.record_content(BUCKET, [(pack, "wrong"), (config, None)], 5000)
    with closing(index.listed_versions(info)) as table:
        table.add([version(config), version(pack, storage_class="GLACIER", size=2)])
        found = {one.entry.key: one for one in table.read()}
    assert found["config"] == (config, None, None, 5000, None)
    assert found[pack.key][1:] == ("GLACIER", "the bucket's version has another size (2, not 1)", 5000, "wrong")


def test_a_result_is_of_the_version_and_not_of_the_state(index: Index) -> None:
    first = put(index, 1, {"config": "v1"})
    index.verifications.record_content(BUCKET, [(entry, None) for entry in index.entries(first)], 5000)
    second = put(index, 2, {"config": "v1", "a": "v1"})
    index.forget([first])

    def checked(info: StateInfo) -> dict[str, int | None]:
        with closing(index.listed_versions(info)) as table:
            table.add([version(entry) for entry in index.entries(info)])
            return {one.entry.key: one.checked_at for one in table.read()}

    assert checked(second) == {"config": 5000, "a": None}
    assert checked(put(index, 3, {"config": "v2"})) == {"config": None}
    elsewhere = state(1, listed({"config": "v1"}), "bucket2")
    index.record(elsewhere, listed({"config": "v1"}))
    assert checked(elsewhere) == {"config": None}


def test_a_full_temporary_disk_is_an_error(index: Index) -> None:
    contents = {f"data/{number:064x}": "v1" for number in range(3000)}
    info = put(index, 1, contents)
    index._connection.execute("PRAGMA temp.max_page_count = 20")
    with closing(index.listed_versions(info)) as table, pytest.raises(IndexUnusable, match="full"):
        table.add([version(entry) for entry in listed(contents)])
