"""What restic prints of snapshots."""

from __future__ import annotations

import pytest

from rwm.process import Completed
from rwm.verify.snapshots import _interpret, is_snapshot_name


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
