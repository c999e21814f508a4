"""Private directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rwm.errors import ConfigError
from rwm.private import make_private_directory


def test_the_directory_and_its_missing_parents_are_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c"
    assert make_private_directory(path, hint="set another path") == path
    for made in (path, path.parent, path.parent.parent):
        assert made.stat().st_mode & 0o777 == 0o700
    assert make_private_directory(path, hint="set another path") == path


def test_an_existing_parent_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    make_private_directory(tmp_path / "a" / "b", hint="set another path")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(ConfigError, match="symbolic link"):
        make_private_directory(tmp_path / "link", hint="set another path")


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "theirs"
    directory.mkdir()
    os.chown(directory, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        make_private_directory(directory, hint="set another path")


def test_a_file_at_the_path_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=str(path)):
            make_private_directory(path, hint="set another path")
