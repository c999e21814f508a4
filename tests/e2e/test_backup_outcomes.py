"""`rwm backup` with both restics: exit codes and hints for each outcome."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import restics
from tests.e2e.cli import Shell
from tests.servers import Server

SECONDS = 120.0


@pytest.fixture
def machine(seaweedfs: Server, restic_program: str, tmp_path: Path) -> Shell:
    """A computer with this restic first on the PATH, and an empty bucket."""
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
    """Whether this restic has the exit codes 10 to 12."""
    return restics.version(restic_program) >= restics.SINCE_OWN_EXIT_CODES


def configure(machine: Shell, **changes: object) -> None:
    """Change the machine's configuration."""
    path = machine.directory / "rwm.conf"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def failed(machine: Shell) -> Any:
    """The failed backup of a run."""
    (backup,) = machine.json("rwm", "backup", "--all", code=1)["backups"]
    assert backup["outcome"] == "failed"
    return backup


def test_no_repository_and_a_wrong_password(machine: Shell, own_codes: bool) -> None:
    backup = failed(machine)
    assert backup["exit_code"] == (10 if own_codes else 1)
    assert ("rwm restic init" in backup["detail"]) == own_codes
    machine("rwm", "restic", "init")
    configure(machine, restic_password="wrong")
    backup = failed(machine)
    assert backup["exit_code"] == (12 if own_codes else 1)
    assert ("the password is wrong" in backup["detail"]) == own_codes


@contextmanager
def another_run(machine: Shell) -> Iterator[Callable[[], object]]:
    """A backup of somebody else that holds a lock until the function is called, or the block ends."""
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
        yield lambda: other.communicate(b"done", SECONDS)
    finally:
        if other.poll() is None:
            other.communicate(b"done", SECONDS)


def test_a_repository_that_another_run_uses(machine: Shell, own_codes: bool) -> None:
    """The backup is made beside it; retention needs the repository for itself, and is applied by the next run."""
    if own_codes:  # this restic knows how to wait, and RWM tells it to
        configure(machine, retention_extras=["--retry-lock=0s"])
    with another_run(machine):
        report = machine.json("rwm", "backup", "--all", code=3)
    assert [(backup["outcome"], backup["exit_code"]) for backup in report["backups"]] == [("ok", 0)]
    assert report["forget"]["outcome"] == "failed"
    assert report["forget"]["exit_code"] == (11 if own_codes else 1)
    assert ("locked by another run" in report["forget"]["detail"]) == own_codes
    assert machine.json("rwm", "backup", "--all")["forget"]["outcome"] == "ok"


@pytest.mark.slow
def test_retention_waits_for_the_lock_of_another_run(machine: Shell, own_codes: bool) -> None:
    with another_run(machine) as end:
        ours = subprocess.Popen(
            [sys.executable, "-m", "rwm", "--json", "backup", "--all"],
            cwd=machine.directory,
            env=machine.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert ours.stderr is not None
        for line in ours.stderr:
            if "waiting up to" in line or ("apply retention" in line and not own_codes):
                break
        if own_codes:
            end()
        report = json.loads(ours.communicate(timeout=SECONDS)[0])
    assert report["forget"]["outcome"] == ("ok" if own_codes else "failed"), "an older restic cannot wait"


def test_an_empty_directory_where_there_were_files(machine: Shell) -> None:
    """restic reports success, as for an unmounted file system. It prints the number as JSON and on a terminal."""
    data = machine.directory / "data"
    data.mkdir()
    for number in range(100):
        (data / str(number)).touch()
    path = machine.directory / "rwm.conf"
    settings = json.loads(path.read_text()) | {"backups": {"data": {"filesdirs": [str(data)]}}}
    path.write_text(json.dumps(settings | {"backup_extras": ["--json"]}))
    machine("rwm", "restic", "init")
    (backup,) = machine.json("rwm", "backup", "--all")["backups"]
    assert (backup["outcome"], backup["files"]) == ("ok", 100)
    data.rename(machine.directory / "unmounted")
    data.mkdir()
    path.write_text(json.dumps(settings))
    shown = machine("script", "--quiet", "--return", "--command", "rwm backup --all", "/dev/null", code=3).stdout
    assert re.search(r"data +partial .*restic processed 0 files, after 100 in the last run that had any", shown)
    assert "retention is not applied" in shown
