"""`rwm backup` with real restics: what their exit codes say is told, whichever version it is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests import restics
from tests.e2e.cli import Shell
from tests.servers import Server

SECONDS = 120.0


@pytest.fixture
def machine(seaweedfs: Server, restic_program: str, tmp_path: Path) -> Shell:
    """A computer with this restic first on the PATH, and an empty bucket; nothing is set up yet."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "restic").symlink_to(restic_program)
    shell = Shell(tmp_path)
    shell.environment["PATH"] = f"{tmp_path / 'bin'}:{shell.environment['PATH']}"
    bucket = f"outcome-{uuid.uuid4().hex[:12]}"
    shell.configure("admin.conf", seaweedfs.endpoint, seaweedfs.accounts["admin"])
    shell("rwm", "-c", "admin.conf", "storage", "create", bucket, "user1")
    (tmp_path / "file").write_text("worth keeping")
    more = {
        "restic_bucket": bucket,
        "restic_password": "right",
        "backups": {"file": {"filesdirs": [str(tmp_path / "file")]}},
        "retention": {"keep-last": 1, "keep-within": "1d"},
    }
    shell.configure("rwm.conf", seaweedfs.endpoint, seaweedfs.accounts["user1"], more)
    return shell


@pytest.fixture
def own_codes(restic_program: str) -> bool:
    """Whether this restic has exit codes of its own for what is not its fault."""
    return restics.version(restic_program) >= restics.SINCE_OWN_EXIT_CODES


def failed(machine: Shell) -> Any:
    """The one backup of a run that made none."""
    (backup,) = machine.json("rwm", "backup", "--all", code=1)["backups"]
    assert backup["outcome"] == "failed"
    return backup


def test_no_repository_and_a_wrong_password(machine: Shell, own_codes: bool) -> None:
    backup = failed(machine)
    assert backup["exit_code"] == (10 if own_codes else 1)
    assert ("rwm restic init" in backup["detail"]) == own_codes
    machine("rwm", "restic", "init")
    path = machine.directory / "rwm.conf"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"restic_password": "wrong"}))
    backup = failed(machine)
    assert backup["exit_code"] == (12 if own_codes else 1)
    assert ("the password is wrong" in backup["detail"]) == own_codes


def test_a_repository_that_another_run_uses(machine: Shell, own_codes: bool) -> None:
    """The backup is made beside it; retention needs the repository for itself, and waits for the next run."""
    machine("rwm", "restic", "init")
    other = subprocess.Popen(
        [sys.executable, "-m", "rwm", "restic", "backup", "--stdin"],
        cwd=machine.directory,
        env=machine.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not machine("rwm", "restic", "list", "locks", "--no-lock").stdout.strip():
            assert other.poll() is None
            assert time.monotonic() < deadline, "the other run takes no lock"
        report = machine.json("rwm", "backup", "--all", code=3)
    finally:
        other.communicate(b"done", SECONDS)
    assert [(backup["outcome"], backup["exit_code"]) for backup in report["backups"]] == [("ok", 0)]
    assert report["forget"]["outcome"] == "failed"
    assert report["forget"]["exit_code"] == (11 if own_codes else 1)
    assert ("locked by another run" in report["forget"]["detail"]) == own_codes
    assert machine.json("rwm", "backup", "--all")["forget"]["outcome"] == "ok"
