"""What is printed of archived objects; keys are chosen by an attacker, and the command is given to a shell."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwm.console import classes_from_json, classes_json, restore_command
from rwm.console.archived import describe_archived, describe_listing
from rwm.model import ClassCount, Entry, StorageClasses

HOSTILE = [
    "a'; touch x; '",
    "$(touch x)",
    "`touch x`",
    "-x",
    "file:///etc/passwd",
    "a\nb",
    "\x1b[31m",
    "я\u202e",
    "!!",
    '"\\',
]
CLASSES = StorageClasses(
    1_700_000_000_000,
    {"DEEP_ARCHIVE": ClassCount(1, 1024), "GLACIER": ClassCount(2, 2048), "GLACIER_IR": ClassCount(7, 7)},
)


def request_of(words: list[str]) -> dict[str, object]:
    assert words[:-1] == ["rwm", "aws", "s3api", "restore-object", "--cli-input-json"]
    request: dict[str, object] = json.loads(words[-1])
    return request


@given(key=st.text(min_size=1), version=st.text(min_size=1))
def test_the_command_is_one_printable_line_that_names_the_version(key: str, version: str) -> None:
    line = restore_command("bucket1", Entry(key, version, 1, "e", 0))
    assert line.isprintable() and line.isascii()
    request = request_of(shlex.split(line))
    assert request == {"Bucket": "bucket1", "Key": key, "VersionId": version, "RestoreRequest": {"Days": 7}}


@pytest.mark.parametrize("key", HOSTILE)
def test_a_shell_runs_nothing_else(key: str) -> None:
    line = restore_command("bucket1", Entry(key, "v", 1, "e", 0))
    script = f'rwm() {{ for word; do printf "%s\\n" "$word"; done; }}\n{line}\n'
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert request_of(["rwm", *done.stdout.splitlines()])["Key"] == key


def test_archived_is_what_cannot_be_read_at_once() -> None:
    assert CLASSES.archived == (3, 3072)
    assert describe_archived(CLASSES) == "3 objects, 3.0 KiB, are archived (DEEP_ARCHIVE 1, GLACIER 2)"
    assert describe_listing(CLASSES) == "as of the listing at 2023-11-14T22:13:20Z"
    assert describe_archived(StorageClasses(1, {"MINE": ClassCount(1, 1)})) == ""


@pytest.mark.parametrize("classes", [CLASSES, StorageClasses(None)])
def test_json_and_back(classes: StorageClasses) -> None:
    assert classes_from_json(json.loads(json.dumps(classes_json(classes)))) == classes
