"""The tables of states and their versions, created by migrations; each is applied once and recorded in the file.

The later migrations are in :mod:`rwm.index.schema_admin`.

An object version is a row with the half-open interval of *moments* during which it was current, so rows grow with
what changes and not with states times objects. A moment is a position on a bucket's timeline, one for each state:
the state's time in milliseconds, plus one for each other state of the same second.

A state *covers* the keys below its prefix, all keys if it is of the whole bucket. A state at moment T consists of the
rows below its prefix with ``since <= T < until``; both ends are always moments of states that cover the key, or
FOREVER. So states of a prefix share rows with those of the whole bucket, and say nothing of the rows outside.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from rwm.index.packed import pack

FOREVER = (1 << 47) - 1
"""``until`` of what is current in the newest state. The largest number that SQLite stores in six bytes (year 6429)."""

migrations = Migrations("rwm-index")


_BUCKET = """
    CREATE TABLE bucket (
        id    INTEGER PRIMARY KEY,
        name  TEXT NOT NULL UNIQUE
    ) STRICT
"""
_DIRECTORY = """
    -- One row for each directory that any state of the bucket ever had.
    CREATE TABLE directory (
        id      INTEGER PRIMARY KEY,
        bucket  INTEGER NOT NULL REFERENCES bucket,
        parent  INTEGER NOT NULL,          -- 0: this is the bucket's root, whose name is empty
        name    TEXT NOT NULL,             -- without slash; empty between two slashes
        hidden  INTEGER NOT NULL,          -- 1: no filesystem can show it, by its own name or one above it
        UNIQUE (bucket, parent, name)
    ) STRICT
"""
_VERSION = """
    -- One row for each object version and interval (two intervals of one version are rare: somebody has
    -- removed a delete marker). Clustered by directory and name: a directory is one range scan.
    CREATE TABLE version (
        directory      INTEGER NOT NULL REFERENCES directory,
        name           TEXT NOT NULL,      -- the key's last part; empty for a key that ends in a slash
        since          INTEGER NOT NULL,   -- moment of the first state in which it is current
        until          INTEGER NOT NULL,   -- moment of the next state in which it is not, or FOREVER
        version_id     TEXT NOT NULL,
        size           INTEGER NOT NULL,   -- bytes
        etag           TEXT NOT NULL,      -- as the server says, without quotes
        last_modified  INTEGER NOT NULL,   -- milliseconds since 1970 UTC
        hidden         INTEGER NOT NULL,   -- 1: its own name is one that no filesystem can show
        PRIMARY KEY (directory, name, since)
    ) STRICT, WITHOUT ROWID
"""
_STATE = """
    CREATE TABLE state (
        id           TEXT PRIMARY KEY,     -- SHA-256 of the canonical form, hexadecimal
        bucket       INTEGER NOT NULL REFERENCES bucket,
        moment       INTEGER NOT NULL,
        captured_at  INTEGER NOT NULL,     -- milliseconds since 1970 UTC, a whole second
        origin       TEXT NOT NULL,        -- backup, capture, past
        outcome      TEXT,                 -- of the backup before it: ok, partial, failed
        objects      INTEGER NOT NULL,
        bytes        INTEGER NOT NULL,
        UNIQUE (bucket, moment)
    ) STRICT, WITHOUT ROWID
"""
_HIDDEN = "CREATE INDEX version_hidden ON version (directory) WHERE hidden"


@migrations()
def m001_states_and_versions(db: Database) -> None:
    """Buckets, directories, object versions with their intervals, states."""
    for table in (_BUCKET, _DIRECTORY, _VERSION, _HIDDEN, _STATE):
        db.execute(table)


_PACKED_DIRECTORY = """
    CREATE TABLE directory (
        id      INTEGER PRIMARY KEY,
        bucket  INTEGER NOT NULL REFERENCES bucket,
        parent  INTEGER NOT NULL,
        name    ANY NOT NULL,              -- packed
        hidden  INTEGER NOT NULL,
        UNIQUE (bucket, parent, name)
    ) STRICT
"""
_PACKED_VERSION = """
    CREATE TABLE version (
        directory      INTEGER NOT NULL REFERENCES directory,
        name           ANY NOT NULL,       -- packed
        since          INTEGER NOT NULL,
        until          INTEGER NOT NULL,
        version_id     ANY NOT NULL,       -- packed
        size           INTEGER NOT NULL,
        etag           ANY NOT NULL,       -- packed
        last_modified  INTEGER NOT NULL,
        hidden         INTEGER NOT NULL,
        PRIMARY KEY (directory, name, since)
    ) STRICT, WITHOUT ROWID
"""


@migrations()
def m002_packed_columns_and_trust(db: Database) -> None:
    """Pack hexadecimal text (see rwm.index.packed); add to each state its trust, and its file in the bucket."""
    db.conn.create_function("pack", 1, pack, deterministic=True)
    for table, columns in (("directory", _PACKED_DIRECTORY), ("version", _PACKED_VERSION)):
        db.execute(f"ALTER TABLE {table} RENAME TO {table}_text")
        db.execute(columns)
    db.execute("INSERT INTO directory SELECT id, bucket, parent, pack(name), hidden FROM directory_text")
    db.execute(
        """
        INSERT INTO version
        SELECT directory, pack(name), since, until, pack(version_id), size, pack(etag), last_modified, hidden
        FROM version_text ORDER BY directory, pack(name), since
        """
    )
    db.execute("DROP TABLE version_text")
    db.execute("DROP TABLE directory_text")
    db.execute(_HIDDEN)
    for column in (
        # own: captured with this index; unchecked; or what a comparison with the bucket's history found:
        # verified, unknown (the history does not reach back), contradicted.
        "trust TEXT NOT NULL DEFAULT 'own'",
        "checked_at INTEGER",  # milliseconds since 1970 UTC of that comparison
        "file_size INTEGER",  # bytes of the state's file in the bucket; NULL: none that is known
        "base TEXT",  # id of the state that the file builds upon; NULL: it is a full one
    ):
        db.execute(f"ALTER TABLE state ADD COLUMN {column}")
    db.execute(
        """
        -- What state sync has looked at and leaves alone from then on.
        CREATE TABLE passed_over (
            bucket  INTEGER NOT NULL REFERENCES bucket,
            file    TEXT NOT NULL,             -- key and version id of a file, or id of a state that was forgotten
            why     TEXT NOT NULL,
            PRIMARY KEY (bucket, file)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def m003_backup_files(db: Database) -> None:
    """Files in the last run of each backup."""
    db.execute(
        """
        CREATE TABLE backup_files (
            bucket  INTEGER NOT NULL REFERENCES bucket,
            entry   TEXT NOT NULL,             -- name of the backup in the configuration
            files   INTEGER NOT NULL,          -- that restic processed in the last run that had any
            PRIMARY KEY (bucket, entry)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def m004_storage_classes(db: Database) -> None:
    """What the last listing of the bucket showed of the storage classes of versions."""
    db.execute("ALTER TABLE version ADD COLUMN storage_class TEXT")  # NULL: STANDARD, or not known
    db.execute("CREATE INDEX version_class ON version (directory) WHERE storage_class IS NOT NULL")
    # Server's time of the last listing that showed the classes of the state's versions, in milliseconds; NULL: none.
    db.execute("ALTER TABLE state ADD COLUMN listed_at INTEGER")


@migrations()
def m005_prefixes(db: Database) -> None:
    """The prefix of each state, of forgotten ones too, and of each backup; an index for reading a part of a bucket."""
    # Empty for a whole bucket. The state says nothing of the rows outside of it.
    db.execute("ALTER TABLE state ADD COLUMN prefix TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE passed_over ADD COLUMN prefix TEXT NOT NULL DEFAULT ''")  # of a state; empty for a file
    db.execute("ALTER TABLE backup_files RENAME TO backup_files_of_bucket")
    db.execute(
        """
        CREATE TABLE backup_files (
            bucket  INTEGER NOT NULL REFERENCES bucket,
            prefix  TEXT NOT NULL,             -- of the repository
            entry   TEXT NOT NULL,
            files   INTEGER NOT NULL,
            PRIMARY KEY (bucket, prefix, entry)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("INSERT INTO backup_files SELECT bucket, '', entry, files FROM backup_files_of_bucket")
    db.execute("DROP TABLE backup_files_of_bucket")
    db.execute("CREATE INDEX directory_parent ON directory (parent, name)")
