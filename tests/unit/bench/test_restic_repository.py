"""Restic tasks and their verification."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import restic_repository
from bench.restic_repository import Repository


def test_the_partial_restore_is_the_directory_nearest_in_size() -> None:
    sizes = {"documents/00": 1, "pictures/2001": 49, "pictures/2002": 61, "pictures/2003": 889}
    assert restic_repository.nearest_part(sizes, 0.05) == "pictures/2001"
    assert restic_repository.nearest_part(sizes, 0.06) == "pictures/2002"
    assert restic_repository.nearest_part(sizes, 1) == "pictures/2003"
    with pytest.raises(ValueError, match="empty"):
        restic_repository.nearest_part({}, 0.05)


def test_a_wrong_restore_is_an_error(tmp_path: Path) -> None:
    repository = Repository(tmp_path, 4, "", {}, "", "")
    for kind, text in (("pictures/1", "same"), ("documents/1", "text")):
        (repository.source / kind).mkdir(parents=True)
        (repository.source / kind / "file").write_text(text)
    task = repository.full_restore()
    target = Path(task.arguments[task.arguments.index("--target") + 1])
    restored = Path(f"{target}{repository.source}")
    for name in ("pictures/1", "documents/1"):
        (restored / name).mkdir(parents=True)
        (restored / name / "file").write_text("same")
    with pytest.raises(RuntimeError, match="diff"):
        task.verify()
    (restored / "documents/1/file").write_text("text")
    task.verify()
    assert not target.exists()
