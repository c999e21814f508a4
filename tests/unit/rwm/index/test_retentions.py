"""The table of retentions: what was set on versions, beside the states that have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm.index import Index
from rwm.location import Location
from rwm.model import Retention, RetentionChange
from tests.unit.states import BUCKET, put

LOCATION = Location(BUCKET)
GOVERNANCE, COMPLIANCE = Retention("governance", 5000), Retention("compliance", 9000)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.open(tmp_path / "index.sqlite")


def versions(index: Index, location: Location = LOCATION) -> dict[str, list[tuple[str, int, Retention | None]]]:
    """Version id, first moment and retention of the versions of each key."""
    return {
        found[0].key: [(each.version_id, each.since, each.retention) for each in found]
        for found in index.retentions.versions(location)
    }


def test_versions_come_key_by_key_with_what_was_set(index: Index) -> None:
    hexadecimal = "ab" * 16
    put(index, 1, {"a": "v1", f"data/00/{hexadecimal}": hexadecimal, "é\n": "v1"})
    put(index, 2, {"a": "v2", f"data/00/{hexadecimal}": hexadecimal, "é\n": "v1"})
    changes = [
        RetentionChange("a", "v2", GOVERNANCE),
        RetentionChange(f"data/00/{hexadecimal}", hexadecimal, COMPLIANCE),
    ]
    index.retentions.record(BUCKET, changes)
    assert versions(index) == {
        "a": [("v1", 1000, None), ("v2", 2000, GOVERNANCE)],
        f"data/00/{hexadecimal}": [(hexadecimal, 1000, COMPLIANCE)],
        "é\n": [("v1", 1000, None)],
    }
    assert list(versions(index, Location(BUCKET, "data/"))) == [f"data/00/{hexadecimal}"]
    assert versions(index, Location("other")) == {}


def test_the_last_record_counts_and_a_key_that_no_state_has_is_left_out(index: Index) -> None:
    put(index, 1, {"a": "v1"})
    index.retentions.record(BUCKET, [RetentionChange("a", "v1", GOVERNANCE)])
    index.retentions.record(BUCKET, [RetentionChange("a", "v1", COMPLIANCE), RetentionChange("x/y", "v1", GOVERNANCE)])
    assert index.retentions.of(BUCKET, "a", "v1") == COMPLIANCE
    assert index.retentions.of(BUCKET, "x/y", "v1") is None
    assert index.retentions.of("other", "a", "v1") is None
    assert index.retentions.has_any(BUCKET) and not index.retentions.has_any("other")


def test_rows_outlive_states_and_go_with_their_versions(index: Index) -> None:
    info = put(index, 1, {"a": "v1", "b": "v1"})
    index.retentions.record(BUCKET, [RetentionChange(key, "v1", GOVERNANCE) for key in "ab"])
    index.forget([info])
    assert index.retentions.of(BUCKET, "a", "v1") == GOVERNANCE
    index.retentions.forget(BUCKET, [("a", "v1"), ("none", "v1")])
    assert [index.retentions.of(BUCKET, key, "v1") for key in "ab"] == [None, GOVERNANCE]


def test_a_reader_does_not_see_what_is_recorded_while_it_reads(index: Index) -> None:
    put(index, 1, {f"data/{n:03}": "v1" for n in range(300)})
    with Index.open(index.path, readonly=True) as reader:
        found = reader.retentions.versions(LOCATION)
        first = next(found)
        index.retentions.record(BUCKET, [RetentionChange(f"data/{n:03}", "v1", GOVERNANCE) for n in range(300)])
        assert {each.retention for each in first} | {each.retention for one in found for each in one} == {None}
