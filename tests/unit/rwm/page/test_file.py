"""The file of the page: all or nothing, for the user alone, never over another file."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from rwm.errors import Refused, RwmError
from rwm.page.file import MARK, check_page_file, write_page


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_page_is_readable_by_the_user_alone(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", MARK + "ä")
    assert (tmp_path / "page.html").read_text() == MARK + "ä"
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["page.html"]


def test_an_earlier_page_is_replaced(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", MARK + "1")
    write_page(tmp_path / "page.html", MARK + "2")
    assert (tmp_path / "page.html").read_text() == MARK + "2"


@pytest.mark.parametrize("kind", ["file", "empty", "directory", "link", "fifo"])
def test_anything_else_is_refused(tmp_path: Path, kind: str) -> None:
    path, page = tmp_path / "page.html", tmp_path / "other"
    page.write_text(MARK)
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(page)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text("diary" if kind == "file" else "")
    with pytest.raises(Refused, match="is no earlier page"):
        check_page_file(path)
    with pytest.raises(Refused):
        write_page(path, MARK)
    assert names(tmp_path) == ["other", "page.html"]


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(RwmError, match="directory is missing"):
        check_page_file(tmp_path / "x" / "page.html")


def test_a_failed_write_leaves_the_earlier_page(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", MARK + "1")
    full = patch("rwm.page.file.os.fsync", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(RwmError, match="No space left"):
        write_page(tmp_path / "page.html", MARK + "2")
    assert (tmp_path / "page.html").read_text() == MARK + "1"
    assert names(tmp_path) == ["page.html"]
