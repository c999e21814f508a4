"""Commands that only read, without an index and with one that cannot be written: they make nothing."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.memory import MemoryS3
from tests.unit.rwm.cli.state_helpers import ADMIN, HERE
from tests.unit.terminal import Terminal

READING = {
    "show": (*ADMIN, "show", "latest", "-b", "bucket1"),
    "diff": (*ADMIN, "diff", "abc", "latest", "-b", "bucket1"),
    "export": (*ADMIN, "export", "latest", "out.csv", "-b", "bucket1"),
    "restore": (*ADMIN, "restore", "latest", "-b", "bucket1", "--to-dir", "out"),
    "forget": (*ADMIN, "forget", "latest", "-b", "bucket1", "--yes"),
    "keep": ("-c", "admin.conf", "prune", "bucket1", "--keep-state", "abc", "--dry-run"),
    "original": ("-c", "admin.conf", "storage_restore_state", "bucket1", "bucket2", "abc"),
}


@pytest.fixture
def admin(rwm_: Terminal) -> Path:
    """The index of admin.conf, which does not exist yet."""
    path = rwm_.directory / "new" / "index.sqlite"
    rwm_.configure("admin", index_path=str(path))
    return path


@pytest.mark.parametrize("command", READING)
def test_without_an_index_it_is_said_and_nothing_is_made(rwm_: Terminal, admin: Path, command: str) -> None:
    before = sorted(rwm_.directory.iterdir())
    assert rwm_(*READING[command]) == 1
    message, hint = rwm_.err.splitlines()
    assert message == f"rwm: no state is recorded: there is no index at {admin} yet"
    assert "`rwm -c admin.conf state sync bucket1` makes it" in hint
    assert "index_path" in hint
    assert sorted(rwm_.directory.iterdir()) == before


def test_a_list_without_an_index_is_empty(rwm_: Terminal, admin: Path) -> None:
    assert rwm_(*ADMIN, "list", "--json") == 0
    assert json.loads(rwm_.out) == []
    assert f"there is no index at {admin} yet" in rwm_.err
    assert "`rwm -c admin.conf state sync BUCKET` makes it" in rwm_.err
    assert not admin.parent.exists()


@pytest.mark.parametrize("words", [("--dry-run",), ("--yes",)])
def test_a_prune_without_an_index_is_refused(rwm_: Terminal, s3: MemoryS3, admin: Path, words: tuple[str, ...]) -> None:
    s3.put("bucket1", "config", b"{}")
    assert rwm_("-c", "admin.conf", "prune", "bucket1", "--keep-last", "1", *words) == 5
    assert f"there is no index at {admin} yet" in rwm_.err
    assert not admin.parent.exists()


@pytest.fixture
def unwritable(rwm_: Terminal, captured: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory with the index of here.conf, where this process cannot write, even if it is root."""
    directory = rwm_.directory / "index"
    directory.mkdir(mode=0o700)
    with closing(sqlite3.connect(rwm_.directory / "here.sqlite")) as connection:
        connection.execute("VACUUM INTO ?", (str(directory / "index.sqlite"),))
    with closing(sqlite3.connect(directory / "index.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    rwm_.configure("here", index_path=str(directory / "index.sqlite"))
    directory.chmod(0o500)
    access = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK and access(place, mode))
    yield directory
    directory.chmod(0o700)


@pytest.mark.parametrize(
    "words",
    [
        (*HERE, "list"),
        (*HERE, "show", "latest", "-b", "bucket1"),
        (*HERE, "diff", "latest", "latest", "-b", "bucket1"),
        (*HERE, "export", "latest", "-", "-b", "bucket1"),
        (*HERE, "forget", "latest", "-b", "bucket1", "--dry-run"),
        ("-c", "here.conf", "prune", "bucket1", "--keep-last", "2", "--dry-run"),
    ],
)
def test_with_an_index_that_cannot_be_written(rwm_: Terminal, unwritable: Path, words: tuple[str, ...]) -> None:
    before = [(path.name, path.stat().st_mtime_ns) for path in unwritable.iterdir()]
    assert rwm_(*words) == 0, rwm_.err
    assert [(path.name, path.stat().st_mtime_ns) for path in unwritable.iterdir()] == before


def test_a_prune_that_could_not_update_the_index_deletes_nothing(
    rwm_: Terminal, s3: MemoryS3, unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("bucket1", "data/1", b"replaced")
    s3.delete("bucket1", "data/1")
    (unwritable / "index.sqlite").chmod(0o400)
    opened = os.open

    def refuse(path: str, flags: int, *more: int, **options: int) -> int:
        if str(path).endswith("index.sqlite") and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refuse)
    before = list(s3.versions("bucket1"))
    assert rwm_("-c", "here.conf", "prune", "bucket1", "--keep-last", "1", "--yes") == 1
    assert "Permission denied" in rwm_.err
    assert list(s3.versions("bucket1")) == before
