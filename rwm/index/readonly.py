"""Open the index for reading only: nothing is created, and neither the file nor its directory need be writable."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from rwm.errors import IndexUnusable

COPY_ATTEMPTS = 5
"""Copies that are tried while another process writes to the file."""

Stamp = tuple[tuple[int, int, int] | None, ...]


def can_write(path: Path) -> bool:
    """Whether a connection to the index may write: the file, and its log beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def open_unwritable(path: Path) -> sqlite3.Connection:
    """A connection to an index that this process cannot write.

    While another process has it open, its log exists and SQLite reads both. Otherwise SQLite would have to create the
    log, so a copy is read. ``immutable=1`` is no substitute, because the owner of the index may still change it.
    """
    return _open_in_place(path) if _beside(path, "-shm").exists() else _open_copy(path)


def open_missing() -> sqlite3.Connection:
    """An empty index in memory, in place of one that does not exist."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _open_in_place(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
            raise
        return _open_copy(path)  # the last writer has just removed the log
    return connection


def _open_copy(path: Path) -> sqlite3.Connection:
    """A copy of the index with its log, in a temporary file that ends with the connection."""
    try:
        with tempfile.TemporaryDirectory(prefix="rwm-index-") as name:
            copy = _copy(path, Path(name))
            connection = sqlite3.connect(copy, isolation_level=None, check_same_thread=False, cached_statements=256)
            connection.execute("PRAGMA journal_mode = MEMORY")  # merges the log into the file, which is then deleted
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except OSError as error:
        raise IndexUnusable(
            f"index {path}: it cannot be written, and reading a temporary copy of it failed: {error.strerror}",
            hint="set TMPDIR to a directory with room for the index",
        ) from error
    return connection


def _copy(path: Path, directory: Path) -> Path:
    """Copy the file and its log as of one moment. Raises IndexUnusable if they change during each copy."""
    target = directory / "index.sqlite"
    for _ in range(COPY_ATTEMPTS):
        before = _stamp(path)
        for suffix in ("", "-wal"):
            _beside(target, suffix).unlink(missing_ok=True)
            if not suffix or _beside(path, suffix).exists():
                shutil.copyfile(_beside(path, suffix), _beside(target, suffix))
        if _stamp(path) == before:
            return target
    raise IndexUnusable(f"index {path}: it changes while it is copied", hint="try again")


def _stamp(path: Path) -> Stamp:
    """Inode, size and time of the file and its log; None for one that does not exist."""

    def of(file: Path) -> tuple[int, int, int] | None:
        try:
            found = file.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    return tuple(of(_beside(path, suffix)) for suffix in ("", "-wal"))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
