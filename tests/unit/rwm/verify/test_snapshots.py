"""What restic prints of snapshots."""

from __future__ import annotations

import json

import pytest

from rwm.process import Completed
from rwm.verify.snapshots import Snapshot, _interpret, is_snapshot_name, parse_snapshots

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
    assert parse_snapshots(json.dumps([DOCUMENT])) == [Snapshot("ab" * 32, MILLISECONDS, "machine1", ("/etc",))]
    utc = {**DOCUMENT, "time": "2026-11-28T19:08:48.123Z"}
    assert parse_snapshots(json.dumps([utc]))[0].time == MILLISECONDS
    assert parse_snapshots("null") == parse_snapshots("[]") == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"id": "x"}]', '[{"id": "x", "time": "yesterday"}]'])
def test_a_malformed_list_is_an_error_of_the_state(text: str) -> None:
    assert _interpret(Completed(0, text, "")).error.startswith("restic's list of snapshots is malformed")


@pytest.mark.parametrize(
    ("code", "stderr", "is_wrong"),
    [(12, "", True), (1, "Fatal: wrong password or no key found\n", True), (1, "Fatal: x\n", False), (-9, "", False)],
)
def test_a_failure_of_restic(code: int, stderr: str, is_wrong: bool) -> None:
    found = _interpret(Completed(code, "", stderr))
    assert found.error
    assert found.is_wrong_password == is_wrong


@pytest.mark.parametrize(
    "name", ["--password-command=x", "-o", "", "ab" * 31, "AB" * 32, "ab" * 32 + "/x", "ab" * 32 + "\n"]
)
def test_a_foreign_name_is_no_argument_of_restic(name: str) -> None:
    assert not is_snapshot_name(name)
    assert is_snapshot_name("ab" * 32)
