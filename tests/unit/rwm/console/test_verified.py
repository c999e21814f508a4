"""What was verified, in a few words."""

from __future__ import annotations

import pytest

from rwm.console import describe_verified, verification_json
from rwm.model import Level, Verification

RIGHT = Verification(1000, 10, 100, 100, 0)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({}, ""),
        ({"structure": RIGHT}, "structure"),
        ({"structure": RIGHT, "content": RIGHT}, "content 100 %"),
        ({"content": RIGHT._replace(bytes=99_999, total_bytes=100_000)}, "content 99 %"),
        ({"structure": RIGHT, "content": RIGHT._replace(bytes=0, total_bytes=0)}, "structure"),
        ({"content": RIGHT, "restic": RIGHT}, "content 100 %, restic"),
        ({"structure": RIGHT, "restic": RIGHT}, "restic"),
        ({"structure": RIGHT, "content": RIGHT._replace(faults=2)}, "2 faults"),
        ({"structure": RIGHT, "content": RIGHT._replace(by="a@x")}, "content 100 % by a@x"),
        ({"structure": RIGHT._replace(by="a@x"), "content": RIGHT}, "content 100 %"),
        (
            {"content": RIGHT._replace(by="a@x"), "restic": RIGHT._replace(by="b")},
            "content 100 %, restic by a@x and b",
        ),
        (
            {"structure": RIGHT._replace(faults=1, by="\x1b@x"), "restic": RIGHT._replace(by="b")},
            "1 fault by \\x1b@x",
        ),
    ],
)
def test_text(found: dict[Level, Verification], text: str) -> None:
    assert describe_verified(found) == text


def test_json_has_the_same_fields_whatever_is_known() -> None:
    assert verification_json({}).keys() == verification_json({"content": RIGHT, "structure": RIGHT}).keys()
    assert verification_json({"content": RIGHT})["verified_content_at"] == "1970-01-01T00:00:01Z"


def test_json_says_by_whom() -> None:
    found = verification_json({"content": RIGHT._replace(by="admin@host1"), "restic": RIGHT})
    names = {level: found[f"verified_{level}_by"] for level in ("structure", "content", "restic")}
    assert names == {"structure": None, "content": "admin@host1", "restic": None}
