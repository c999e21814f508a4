"""Entries that states have from after their second."""

from __future__ import annotations

from pathlib import Path

from rwm.index import Index
from rwm.location import Location
from rwm.model import Entry, StateInfo
from rwm.times import DAY
from tests.unit.states import BUCKET, state

BUCKET1 = Location(BUCKET)


def record(index: Index, second: int, times: dict[str, int], prefix: str = "") -> StateInfo:
    """Record a state of keys that were written at these times, in milliseconds."""
    entries = [Entry(key, f"v{time}", 1, "e", time) for key, time in sorted(times.items())]
    info = state(second, entries, prefix=prefix)
    index.record(info, entries)
    return info


def born_later(index: Index, location: Location = BUCKET1) -> set[tuple[str, str]]:
    return {(state_id, entry.key) for state_id, entry in index.born_later(location)}


def test_what_was_written_by_the_end_of_the_second_is_not_later(tmp_path: Path) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        info = record(index, 10, {"a/early": 9_000, "a/end": 10_999, "a/late": 11_000, "b": 90_000})
        record(index, 100, {"a/early": 9_000, "a/end": 10_999, "a/late": 11_000, "b": 90_000})
        assert born_later(index) == {(info.id, "a/late"), (info.id, "b")}
        assert born_later(index, Location(BUCKET, "a/")) == {(info.id, "a/late")}
        assert born_later(index, Location("other")) == set()


def test_captures_that_overlap_both_have_it(tmp_path: Path) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        whole = record(index, 10, {"a/late": 15_000, "b/late": 15_000})
        part = record(index, 12, {"a/late": 15_000}, prefix="a/")
        assert born_later(index) == {(whole.id, "a/late"), (whole.id, "b/late"), (part.id, "a/late")}


def test_a_forged_time_in_the_future_is_of_no_capture(tmp_path: Path) -> None:
    with Index.open(tmp_path / "index.sqlite") as index:
        record(index, 10, {"a": 10_000 + DAY + 1000})
        assert born_later(index) == set()
