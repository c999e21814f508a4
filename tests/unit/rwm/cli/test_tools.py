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


def test_no_repository_is_created_inside_another_one(
    tools: Terminal, s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a prefix with the name of such a directory in it is looked up."""
    monkeypatch.setenv("PATH", f"{tools.directory}:/usr/bin:/bin")
    started: list[list[str]] = []
    monkeypatch.setattr("rwm.process.exec_program", lambda argv, _environment: started.append(argv))
    for key in ("config", "keys/k", "data/00/p"):
        s3.put("bucket1", f"host1/{key}", b"1")
    for location, is_refused in (("host1/data", True), ("host1/data/x", True), ("data", False), ("host1/x", False)):
        started.clear()
        tools.configure("here", restic_bucket=f"bucket1/{location}")
        assert tools("-c", "here.conf", "restic", "init") == (2 if is_refused else 0)
        assert bool(started) != is_refused
        if is_refused:
            message = f"restic_bucket: bucket1/{location} is a directory of the repository at bucket1/host1, "
            assert tools.err.startswith(f"rwm: {message}")
    tools.configure("here", restic_bucket="missing/host1/data")
    assert tools("-c", "here.conf", "restic", "init") == 0, "restic creates the bucket or reports its error"
