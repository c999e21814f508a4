"""``rwm restic`` and ``rwm aws``: arguments and exit code are those of the tool."""

from __future__ import annotations

import os

import pytest

from tests import programs
from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal

TOOL = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done
exit 9
"""


@pytest.fixture
def tools(rwm_: Terminal, s3: MemoryS3) -> Terminal:
    for name in ("restic", "aws"):
        tool = rwm_.directory / name
        tool.write_text(TOOL)
        tool.chmod(0o755)
    return rwm_


@pytest.mark.parametrize("tool", ["restic", "aws"])
@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        (["snapshots"], ["snapshots"]),
        (["snapshots", "--json", "-v", "-c", "x"], ["snapshots", "--json", "-v", "-c", "x"]),
        (["--", "--help"], ["--help"]),
        (["--", "s3api", "--help"], ["s3api", "--help"]),
        (["forget", "--", "-x"], ["forget", "--", "-x"]),
        (["--", "--", "x"], ["--", "x"]),
        (["--no-lock", "snapshots"], ["--no-lock", "snapshots"]),
        (["backup", "with space", "", "*", "$HOME"], ["backup", "with space", "", "*", "$HOME"]),
        ([], []),
    ],
)
def test_arguments_are_passed_on_unchanged(tools: Terminal, tool: str, typed: list[str], passed: list[str]) -> None:
    """With its exit code: the tool takes our place."""
    done = programs.run(
        ["rwm", "-c", "here.conf", tool, *typed],
        env={**os.environ, "PATH": f"{tools.directory}:/usr/bin:/bin"},
        cwd=tools.directory,
    )
    words = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (9, "")
    assert words == (passed if tool == "restic" else ["--endpoint-url", "http://127.0.0.1:9", *passed])
