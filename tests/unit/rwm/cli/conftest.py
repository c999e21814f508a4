"""Buckets with recorded states for the tests of commands."""

from __future__ import annotations

import json

import pytest

from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.state_helpers import ADMIN, HERE
from tests.unit.terminal import Terminal


@pytest.fixture
def captured(rwm_: Terminal, s3: MemoryS3) -> list[str]:
    """The ids of three states captured with here.conf; the index of admin.conf has none of them."""
    rwm_.configure("admin")
    found = []
    for number in range(3):
        s3.put("bucket1", f"data/{number}", b"x" * number)
        s3.now += 10_000
        assert rwm_(*HERE, "capture", "bucket1", "--json") == 0
        found.append(json.loads(rwm_.out)["id"])
        s3.now += 10_000
    return found


@pytest.fixture
def synced(rwm_: Terminal, captured: list[str]) -> list[str]:
    """The ids of the captured states, also recorded in the index of admin.conf."""
    assert rwm_(*ADMIN, "sync", "bucket1") == 0
    return captured


@pytest.fixture
def replaced(s3: MemoryS3) -> list[str]:
    """The ids of three versions of one key, oldest first; restic overwrites such a key, unlike a pack."""
    return [s3.put("bucket1", "notes", b"x" * size) for size in (1, 2, 3)]
