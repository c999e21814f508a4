"""Locations that are no place for a repository: the same line from every command that reads the bucket."""

from __future__ import annotations

import pytest

from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal

COMMANDS = [
    ("state", "capture"),
    ("state", "sync"),
    ("storage", "info"),
    ("prune", "--keep-last", "1", "--force", "--yes"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
class TestNoPlaceForARepository:
    @pytest.fixture(autouse=True)
    def repository(self, rwm_: Terminal, s3: MemoryS3) -> None:
        for name in ("config", "keys/k", "data/00/p", "index/i", "snapshots/s"):
            s3.put("bucket1", f"host1/{name}", b"1")
        assert rwm_("-c", "here.conf", "state", "capture", "bucket1") == 0

    @pytest.mark.parametrize("path", ["data", "data/00", "data/01/x", "locks"])
    def test_a_directory_of_a_repository(self, rwm_: Terminal, command: tuple[str, ...], path: str) -> None:
        assert rwm_("-c", "here.conf", *command, f"bucket1/host1/{path}") == 2
        assert rwm_.out == ""
        assert rwm_.err == (
            f"rwm: bucket1/host1/{path} is a directory of the repository at bucket1/host1, not a place for one\n"
            "  name the repository itself: bucket1/host1\n"
        )

    def test_a_prefix_below_which_nothing_is(self, rwm_: Terminal, command: tuple[str, ...]) -> None:
        assert rwm_("-c", "here.conf", *command, "bucket1/host2") == 1
        assert (rwm_.out, rwm_.err.splitlines()[0]) == (
            "",
            "rwm: nothing is stored below bucket1/host2, and nothing was",
        )
