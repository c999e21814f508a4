"""What restic prints of snapshots."""

from __future__ import annotations

import json

import pytest

from rwm.restic.snapshots import Snapshot, parse_snapshots
from rwm.times import iso

DOCUMENT = {
    "time": "2026-11-28T20:08:48.123456789+01:00",
    "tree": "t",
    "paths": ["/etc"],
    "hostname": "machine1",
    "id": "ab" * 32,
    "short_id": "abababab",
}
MILLISECONDS = 1_795_892_928_123


def test_a_snapshot_of_restic() -> None:
    assert parse_snapshots(json.dumps([DOCUMENT])) == [Snapshot("ab" * 32, MILLISECONDS, "machine1", ("/etc",), ())]
    utc = {**DOCUMENT, "time": "2026-11-28T19:08:48.123Z"}
    assert parse_snapshots(json.dumps([utc]))[0].time == MILLISECONDS
    assert parse_snapshots("null") == parse_snapshots("[]") == []


def test_tags_of_a_snapshot() -> None:
    assert parse_snapshots(json.dumps([{**DOCUMENT, "tags": ["a", "b"]}]))[0].tags == ("a", "b")


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_that_no_calendar_has_is_no_error(time: str, shown: str) -> None:
    (found,) = parse_snapshots(json.dumps([{**DOCUMENT, "time": time}]))
    assert iso(found.time) == shown
