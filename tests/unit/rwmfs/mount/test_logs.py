"""The log of a mount: private, and names from a bucket cannot forge its lines."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwm.errors import ConfigError, MountError
from rwmfs.mount import logs


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger apart from all others."""
    log = logging.Logger("rwmfs.test")
    yield log
    for handler in log.handlers:
        handler.close()


def test_control_characters_are_escaped(log: logging.Logger, tmp_path: Path) -> None:
    log.handlers = logs.handlers(tmp_path / "log", stderr=False)
    log.error("cannot read %s", "a\nb\x1b[31m")
    try:
        raise ValueError("c\x07d")
    except ValueError:
        log.exception("failed")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].endswith("ERROR rwmfs.test: cannot read a\\nb\\x1b[31m")
    assert lines[-1].endswith("ValueError: c\\x07d")
    assert all(line.startswith("    ") for line in lines[2:])
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_log_file_is_appended_to_and_stderr_gets_the_same_lines(
    log: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text("before\n")
    log.handlers = logs.handlers(tmp_path / "log", stderr=True)
    log.info("shown \ud800")
    assert (tmp_path / "log").read_text().startswith("before\n")
    assert "shown" in (tmp_path / "log").read_text()
    assert "INFO rwmfs.test: shown" in capsys.readouterr().err


def test_a_log_file_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "other")
    with pytest.raises(MountError, match="log file"):
        logs.handlers(tmp_path / "log", stderr=False)
    assert not (tmp_path / "other").exists()


def test_the_default_log_file(home: Path) -> None:
    path = logs.prepare_log_path(None, "a/bucket")
    assert path == home / ".local/state/rwm/log/rwmfs-a_bucket.log"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_log_file_of_a_long_prefix_has_a_short_name(home: Path) -> None:
    one, two = (logs.prepare_log_path(None, "bucket1/" + "é" * 400 + end).name for end in "ab")
    assert one != two
    assert max(len(one.encode()), len(two.encode())) < 255


def test_a_default_log_directory_that_is_a_symbolic_link_is_refused(home: Path) -> None:
    (home / ".local/state/rwm").mkdir(parents=True)
    (home / ".local/state/rwm/log").symlink_to(home)
    with pytest.raises(ConfigError) as error:
        logs.prepare_log_path(None, "bucket1")
    assert error.value.hint == "choose another file with --log-file or log_path"


def test_the_configured_log_file(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "log" / "mounts.log"
    for _ in range(2):
        assert logs.prepare_log_path(path, "bucket1") == path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not (home / ".local").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as error:
        logs.prepare_log_path(tmp_path / "file" / "below" / "log", "bucket1")
    assert error.value.hint == "choose another file with --log-file or log_path"
