"""An index that is only read: nothing is created, and neither the file nor its directory need be writable."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rwm.errors import ConfigError, IndexUnusable, StateNotFound
from rwm.index import Index, missing_index
from rwm.location import Location
from rwm.model import StateInfo
from tests.unit.rwm.index.test_file import in_child, old_index
from tests.unit.states import BUCKET, listed, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there" / "index.sqlite"


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make file and directory unwritable for this process, even if it is root."""

    def forbid(path: Path) -> None:
        access = os.access
        monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK and access(place, mode))
        path.chmod(0o400)
        path.parent.chmod(0o500)

    return forbid


@pytest.fixture(autouse=True)
def _writable_again(path: Path) -> Iterator[None]:
    yield
    path.parent.chmod(0o700)


def content(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in directory.iterdir()}


def test_an_index_that_does_not_exist_is_empty_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "index.sqlite"
    with Index.open(path, readonly=True) as index:
        assert index.states() == []
        for text in ("latest", "2026-11-20", "abc"):
            with pytest.raises(StateNotFound, match=f"there is no index at {path} yet") as error:
                index.resolve(text, Location("bucket1"))
            assert "`rwm state sync bucket1` makes it" in error.value.hint
        with pytest.raises(StateNotFound, match="there is no index"):
            index.resolve("abc")
    assert list(tmp_path.iterdir()) == [path.parent.parent / "there"]


def test_one_that_cannot_be_looked_at_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "index.sqlite"
    assert missing_index(path, None) is None
    with pytest.raises(IndexUnusable, match="Not a directory") as error:
        Index.open(path, readonly=True)
    assert error.value.hint == "set another index_path"


def test_one_that_is_closed(path: Path, unwritable: Callable[[Path], None]) -> None:
    """SQLite would create the log."""
    with Index.open(path) as index:
        info = put(index, 1, {"data/a": "v1"})
    unwritable(path)
    before = content(path.parent)
    with Index.open(path, readonly=True) as index:
        assert list(index.entries(info)) == listed({"data/a": "v1"})
        order = index.upload_order(info)
        assert order.entry(0) is None
        order.close()
        with pytest.raises(IndexUnusable, match="readonly"):
            index.forget([info])
    assert content(path.parent) == before


def test_one_that_another_process_writes_is_followed(path: Path, unwritable: Callable[[Path], None]) -> None:
    with Index.open(path) as writer:
        first = put(writer, 1, {"a": "v1"})
        unwritable(path)
        with Index.open(path, readonly=True) as index:
            assert index.states() == [first]
            second = put(writer, 2, {"a": "v2"})
            assert index.states() == [first, second]
            assert list(index.entries(second)) == listed({"a": "v2"})


@pytest.mark.parametrize("with_shared_memory", [True, False])
def test_one_whose_writer_crashed(
    path: Path, tmp_path: Path, unwritable: Callable[[Path], None], with_shared_memory: bool
) -> None:
    """What is only in the log counts."""
    with Index.open(path) as writer:
        info = put(writer, 1, {"a": "v1"})
        copy = shutil.copytree(path.parent, tmp_path / "copy") / path.name
    if not with_shared_memory:
        Path(f"{copy}-shm").unlink()
    unwritable(copy)
    with Index.open(copy, readonly=True) as index:
        assert list(index.entries(info)) == listed({"a": "v1"})
    copy.parent.chmod(0o700)


def test_one_of_an_older_version(path: Path, unwritable: Callable[[Path], None]) -> None:
    states: dict[StateInfo, dict[str, str]] = old_index(path)
    unwritable(path)
    before = content(path.parent)
    with Index.open(path, readonly=True) as index:
        for info, contents in states.items():
            assert list(index.entries(info)) == listed(contents)
    assert content(path.parent) == before


def test_one_that_changes_while_it_is_copied(
    path: Path, unwritable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index.open(path) as index:
        info = put(index, 1, {"a": "v1"})
    unwritable(path)
    copied = shutil.copyfile
    times = iter(range(1, 1000))

    def change(source: Path, target: Path) -> None:
        copied(source, target)
        if (number := next(times)) in changes:
            os.utime(source, ns=(number, number))

    monkeypatch.setattr(shutil, "copyfile", change)
    changes: range = range(1, 3)
    with Index.open(path, readonly=True) as index:
        assert index.states(Location(BUCKET)) == [info]
    changes = range(1000)
    with pytest.raises(IndexUnusable, match="changes while it is copied"):
        Index.open(path, readonly=True)


def test_a_directory_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Index.open(path).close()
    os.chown(path.parent, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigError, match="belongs to another user") as error:
        Index.open(path, readonly=True)
    assert "copy it to a directory of your own" in error.value.hint


def test_a_file_that_is_no_index_is_left_alone(path: Path, unwritable: Callable[[Path], None]) -> None:
    path.write_bytes(b"not a database" * 1000)
    unwritable(path)
    with pytest.raises(IndexUnusable, match="not a database"):
        Index.open(path, readonly=True)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("PRAGMA schema_version")


def test_a_log_that_is_removed_meanwhile(
    path: Path, unwritable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last writer ends between our look and our opening."""
    with Index.open(path) as index:
        info = put(index, 1, {"a": "v1"})
    Path(f"{path}-shm").touch()
    unwritable(path)

    class CannotOpen(sqlite3.OperationalError):
        sqlite_errorcode = sqlite3.SQLITE_CANTOPEN

    class Connection(sqlite3.Connection):
        def execute(self, *_: object) -> sqlite3.Cursor:
            raise CannotOpen("unable to open database file")

    connect = sqlite3.connect

    def fail_in_place(database: object, **options: object) -> sqlite3.Connection:
        more = {"factory": Connection} if options.get("uri") else {}
        return connect(database, **options, **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", fail_in_place)
    with Index.open(path, readonly=True) as index:
        assert index.states() == [info]


def test_without_room_for_a_copy(
    path: Path, tmp_path: Path, unwritable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    Index.open(path).close()
    unwritable(path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(IndexUnusable, match="a temporary copy of it failed: No such file") as error:
        Index.open(path, readonly=True)
    assert "TMPDIR" in error.value.hint


def read_in(place: Path) -> str:
    with Index.open(place / "index.sqlite", readonly=True) as index:
        (info,) = index.states()
        order = index.upload_order(info)  # a connection of its own, with a temporary table
        first = order.entry(0)
        order.close()
    return first.key if first else "none"


@pytest.mark.parametrize("is_open", [True, False])
def test_a_user_without_the_right_to_write_reads_it(is_open: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="rwm-index-") as name:  # another user may enter it
        place = Path(name)
        place.chmod(0o755)
        with Index.open(place / "index.sqlite") as index:
            put(index, 1, {"data/aa/a": "v1"})
            for file in place.iterdir():
                file.chmod(0o444)
            answer = in_child(read_in, place, nobody=True) if is_open else ""
        if not is_open:
            answer = in_child(read_in, place, nobody=True)
        assert answer == "data/aa/a"
        assert [file.name for file in place.iterdir()] == ["index.sqlite"]
