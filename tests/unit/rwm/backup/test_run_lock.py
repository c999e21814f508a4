"""The run lock."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rwm.backup.run_lock import hold_lock
from rwm.errors import ConfigError, LockHeld
from tests.unit.descriptors import open_descriptors

HOLD = """
import sys, pathlib, rwm.backup.run_lock
with rwm.backup.run_lock.hold_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_fails_at_once(tmp_path: Path) -> None:
    path = tmp_path / "backup.lock"
    with hold_lock(path):
        with pytest.raises(LockHeld) as error, hold_lock(path):
            pass
        assert str(path) in error.value.message
        assert error.value.exit_code == 7
    with hold_lock(path):
        pass


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "backup.lock"
    with pytest.raises(RuntimeError), hold_lock(path):
        raise RuntimeError
    with hold_lock(path):
        pass


def test_the_lock_of_a_killed_process_is_released(tmp_path: Path) -> None:
    path = tmp_path / "backup.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld), hold_lock(path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    with hold_lock(path):
        pass


def test_children_do_not_inherit_the_lock(tmp_path: Path) -> None:
    """A hook that leaves a daemon behind must not hold up the next run."""
    path = tmp_path / "backup.lock"
    with hold_lock(path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with hold_lock(path):
            pass
    finally:
        child.kill()
        child.wait()


def test_the_lock_file_and_its_new_directories_are_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "backup.lock"
    with hold_lock(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "backup.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError), hold_lock(tmp_path / "backup.lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_path_that_cannot_be_opened_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory") as error, hold_lock(tmp_path):
        pass
    assert "lock_path" in error.value.hint


def test_no_descriptor_leaks(tmp_path: Path) -> None:
    path = tmp_path / "backup.lock"
    for _ in range(3):
        with hold_lock(path), pytest.raises(LockHeld), hold_lock(path):
            pass
    assert open_descriptors(path) == 0
    with hold_lock(path):
        assert open_descriptors(path) == 1
