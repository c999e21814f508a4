"""Private directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rwm.errors import ConfigError, SpoolFull
from rwm.model import OperationChange
from rwm.private import make_private_directory, path_of, temporary_file
from rwm.rollback.change_spool import ChangeSpool
from tests import ROOT
from tests.unit.conftest import FillDisk


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


def test_a_temporary_file_is_private_has_no_name_and_can_be_read_by_its_path() -> None:
    with temporary_file() as file:
        file.write(b"content")
        file.flush()
        found = os.fstat(file.fileno())
        assert (found.st_mode & 0o777, found.st_nlink) == (0o600, 0)
        assert path_of(file).read_bytes() == b"content"
        assert file.seek(0) == 0
        assert file.read() == b"content"


def test_a_full_disk_is_an_error_of_rwm_with_a_hint(fill_disk: FillDisk) -> None:
    fill_disk(0)
    full = pytest.raises(SpoolFull, match="a temporary file cannot be written: No space left")
    with full as error, temporary_file() as file:
        file.write(b"content")
        file.seek(0)
    assert "set TMPDIR" in error.value.hint


def test_a_full_disk_hides_no_other_error(fill_disk: FillDisk) -> None:
    """What nobody has read of a temporary file is not written when it is closed."""
    fill_disk(0)

    def write_and_stop() -> None:
        with temporary_file() as file:
            file.write(b"content")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()


def test_a_full_disk_hides_no_error_of_a_roll_back(fill_disk: FillDisk) -> None:
    fill_disk(0)
    spool = ChangeSpool()
    spool.add(OperationChange("marked", "a", ""))
    spool.close()


def test_nobody_else_makes_temporary_files_of_which_errors_are_not_mapped() -> None:
    made = {"tempfile.TemporaryFile", "tempfile.NamedTemporaryFile", "tempfile.SpooledTemporaryFile"}
    found = {
        str(path.relative_to(ROOT))
        for path in (*(ROOT / "rwm").rglob("*.py"), *(ROOT / "rwmfs").rglob("*.py"))
        if any(name in path.read_text() for name in made)
    }
    # These map the errors themselves: `errors(TEMPORARY)` and `temporary_file_errors()`.
    assert found == {"rwm/index/capture_spool.py", "rwm/s3/listing/recorded.py", "rwm/states/sync.py"}
