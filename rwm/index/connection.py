"""Opening the index file (private, write-ahead log, migrations), and mapping SQLite errors to RWM's."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlite_utils import Database

from rwm.errors import IndexDamaged, IndexUnusable, SpoolFull
from rwm.index.readonly import can_write, open_missing, open_unwritable
from rwm.index.schema import migrations
from rwm.index.schema_admin import STEPS
from rwm.private import MORE_ROOM, UNWRITABLE, check_private_directory, make_private_directory

BUSY_TIMEOUT = 60  # seconds that a writer waits for another one


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Open the index at ``path``, in autocommit mode; create it if it does not exist. Raises IndexUnusable.

    ``readonly`` forbids this connection to change it, and creates nothing: an index that is not there is empty. Where
    this process may write, the file is still opened for writing, because a reader of a write-ahead log also locks it.
    """
    if readonly:
        return _connect_readonly(path)
    make_private_directory(path.parent, hint="set another index_path")
    with errors(path):
        _create_file(path)
    return _connect(path)


def _create_file(path: Path) -> None:
    """Create the file unless it exists. Before SQLite opens it, so that it never has a mode that others can read."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _check_file(path: Path, mode: int) -> None:
    """Raise OSError unless the file exists and may be opened in that mode; a symbolic link may not.

    It is not opened: closing any descriptor of a file drops all POSIX locks that this process has on it. Another
    process would then remove the log of a connection that is in use, and what that writes would be lost.
    """
    kind = path.lstat().st_mode
    code = errno.ELOOP if stat.S_ISLNK(kind) else errno.EISDIR if stat.S_ISDIR(kind) else errno.EACCES
    if code != errno.EACCES or not os.access(path, mode):
        raise OSError(code, os.strerror(code))


def _connect(path: Path) -> sqlite3.Connection:
    with errors(path):
        _check_file(path, os.R_OK | os.W_OK)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut may lose the last commit, no more
        connection.execute("PRAGMA cache_size = -16384")  # KiB
        connection.execute("PRAGMA journal_size_limit = 16777216")  # bytes; a first state's log is larger
        _migrate(connection, path)
    return connection


def _connect_readonly(path: Path) -> sqlite3.Connection:
    with errors(path):
        try:
            _check_file(path, os.R_OK)
        except FileNotFoundError:
            connection = open_missing()
        else:
            check_private_directory(path.parent, hint="copy it to a directory of your own, or set another index_path")
            connection = _connect(path) if can_write(path) else open_unwritable(path)
        if _is_outdated(connection, path):
            connection = _migrated_copy(connection, path)
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA query_only = ON")
    return connection


def _migrated_copy(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """A migrated temporary copy: of an index of an older version that cannot be written, or of an empty one."""
    copy = sqlite3.connect("", isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.backup(copy)
    connection.close()
    _migrate(copy, path)
    return copy


def move_aside(path: Path) -> Path:
    """Rename a damaged index and its log; returns the new path. Processes that have it open keep using it."""
    stem = aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    number = 1
    while aside.exists():
        number += 1
        aside = stem.with_name(f"{stem.name}-{number}")
    with errors(path):
        for suffix in ("-shm", "-wal", ""):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _is_outdated(connection, path):
        with transaction(connection):  # a process that waits for another one to migrate has nothing left to apply
            migrations.apply(Database(connection))


def _is_outdated(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether migrations are missing. Raises IndexUnusable if the file has one that this version does not know."""
    database = Database(connection)
    newer = {str(step.name) for step in migrations.applied(database)} - STEPS
    if newer:
        raise IndexUnusable(
            f"index {path}: written by a newer version of RWM ({', '.join(sorted(newer))})",
            hint="update RWM here, or set another index_path",
        )
    return bool(migrations.pending(database))


@contextmanager
def transaction(connection: sqlite3.Connection, *, temporary: bool = False) -> Iterator[None]:
    """A write transaction, rolled back on any exception; ``temporary``: of temporary tables only, which locks nobody.

    Without one each row of an ``executemany`` is a transaction of its own, which costs ten times as much.
    """
    connection.execute("BEGIN" if temporary else "BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def errors(path: Path | str) -> Iterator[None]:
    """Raise IndexUnusable, with a hint, for every SQLite and file error."""
    try:
        yield
    except sqlite3.Error as error:
        if path == TEMPORARY and _primary(error) in _NO_ROOM:
            raise SpoolFull(f"{UNWRITABLE}: {error}", hint=MORE_ROOM) from error
        kind = IndexDamaged if _is_damage(error) else IndexUnusable
        raise kind(f"index {path}: {error}", hint=_hint(error)) from error
    except OSError as error:
        if path == TEMPORARY:
            raise SpoolFull(f"{UNWRITABLE}: {error.strerror}", hint=MORE_ROOM) from error
        raise IndexUnusable(f"index {path}: {error.strerror}", hint="set another index_path") from error


TEMPORARY = "(temporary)"
"""Takes the place of the path in errors of temporary tables."""

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_MAKE_ROOM = "the disk is full or failing: make room and try again; the index is as it was"
MOVE_AWAY = "move the index away, then `rwm state sync BUCKET` rebuilds it from the bucket"
REBUILD = "`rwm state sync BUCKET` moves the damaged file away and rebuilds the index from the bucket"


def _primary(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged. Python raises the error for text that is not UTF-8 without a code."""
    return _primary(error) in _DAMAGED or str(error).startswith("Could not decode to UTF-8")


def _hint(error: sqlite3.Error) -> str:
    if _is_damage(error):
        return REBUILD
    primary = _primary(error)
    if primary == sqlite3.SQLITE_BUSY:
        return "another process has been writing to it for a long time: try again"
    if primary in _NO_ROOM:
        return _MAKE_ROOM
    return "check index_path and its permissions"
