"""``rwm prune``: plan, confirmation, exit codes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.unit.memory import MemoryS3
from tests.unit.terminal import Terminal


def test_a_dry_run_prints_the_plan_and_deletes_nothing(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    before = s3.counts("bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--dry-run", "--json") == 0
    plan = json.loads(rwm_.out)
    assert {name: plan[name] for name in ("versions", "markers", "bytes", "kept_versions", "locked", "too_young")} == {
        "versions": 2, "markers": 0, "bytes": 3, "kept_versions": 2, "locked": 0, "too_young": 0,
    }  # fmt: skip
    assert plan["refused"] == []
    assert s3.counts("bucket1") == before
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 0
    assert "deleted 2 versions and 0 markers" in rwm_.out
    assert replaced[-1] == s3.present("bucket1")["notes"]


def test_prune_without_a_terminal_needs_yes(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    with Path(os.devnull).open() as nothing, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", nothing)
        assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1") == 2
    assert "--yes" in rwm_.err
    assert s3.deleted == []


def test_prune_without_a_state_is_refused(rwm_: Terminal, s3: MemoryS3) -> None:
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 5
    assert "rwm state capture bucket1" in rwm_.err


def test_failed_deletions_are_reported_with_exit_code_3(rwm_: Terminal, s3: MemoryS3, replaced: list[str]) -> None:
    s3.stuck["notes", replaced[0]] = "AccessDenied"
    rwm_("-c", "here.conf", "state", "capture", "bucket1")
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes", "--json") == 3
    document = json.loads(rwm_.out)
    assert document["failures"] == [{"key": "notes", "version_id": replaced[0], "code": "AccessDenied"}]
    assert document["versions"] == 1
