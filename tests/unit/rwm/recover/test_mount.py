"""The mount by the program ``rwmfs``: what is checked before, and how its failure is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwm import process
from rwm.config import Config
from rwm.errors import MountError
from rwm.model import StateInfo
from rwm.recover import check_mountpoint, mount_state, restic_commands

INFO = StateInfo("0" * 64, "bucket1", 0, "backup", 1, 1)


def test_mountpoints_that_are_refused(tmp_path: Path) -> None:
    check_mountpoint(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    check_mountpoint(tmp_path / "empty")
    (tmp_path / "file").touch()
    for path, says in (
        (tmp_path, "is not empty"),
        (tmp_path / "file", "is not a directory"),
        (Path("/proc"), "mounted"),
    ):
        with pytest.raises(MountError, match=says):
            check_mountpoint(path)


@pytest.mark.parametrize(
    ("code", "stderr", "message", "hint"),
    [
        (6, "warning: x\nrwmfs: access denied\n  check the keys\n", "mounted: access denied", "check the keys"),
        (1, "rwmfs: it failed\n", "mounted: it failed", ""),
        (-9, "", "mounted: the mount process ended", ""),
    ],
)
def test_the_error_of_the_program(
    code: int, stderr: str, message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda argv: process.Completed(code, "", stderr))
    with pytest.raises(MountError, match=message) as error:
        mount_state(Config(), INFO, INFO.location, tmp_path / "new" / "mnt")
    assert error.value.hint == hint
    assert error.value.exit_code == (code if code > 0 else MountError.exit_code)


def test_warnings_of_the_program_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(argv: list[str]) -> process.Completed:
        seen.append(argv)
        return process.Completed(0, "mounted", "warning: 1 key has no path\n")

    monkeypatch.setattr(process, "run", run)
    assert mount_state(Config(), INFO, INFO.location, tmp_path) == ["warning: 1 key has no path"]
    assert seen[0][1:] == ["mount", "bucket1", "--at", INFO.id, str(tmp_path)]


def test_commands_for_each_repository() -> None:
    assert restic_commands(Path("/mnt/my repo"), ["", "host1/"]) == [
        "restic -r '/mnt/my repo' --no-cache restore latest --target /restore",
        "restic -r '/mnt/my repo/host1' --no-cache restore latest --target /restore/host1",
    ]
