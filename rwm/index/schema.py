"""The tables of the index, created by migrations; each is applied once and recorded in the file.

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


@migrations()
def m001_states_and_versions(db: Database) -> None:
    """Buckets, directories, object versions with their intervals, states."""
    db.execute(
        """
        CREATE TABLE bucket (
            id    INTEGER PRIMARY KEY,
            name  TEXT NOT NULL UNIQUE
        ) STRICT
        """
    )
    db.execute(
        """
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
    )
    db.execute(
        """
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
    )
    db.execute("CREATE INDEX version_hidden ON version (directory) WHERE hidden")
    db.execute(
        """
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
    )


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
    db.execute("CREATE INDEX version_hidden ON version (directory) WHERE hidden")
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


@migrations()
def m006_verification(db: Database) -> None:
    """What reading the content of versions has found, and a summary for each state."""
    db.execute(
        """
        -- A row for each object version whose content was read and compared with its name. It outlives the states that
        -- have the version, until `rwm prune` of this computer deletes the version. Values are as in the table version.
        CREATE TABLE content (
            directory      INTEGER NOT NULL REFERENCES directory,
            name           ANY NOT NULL,
            version_id     ANY NOT NULL,
            last_modified  INTEGER NOT NULL,   -- a `null` version that was overwritten in place keeps its id
            checked_at     INTEGER NOT NULL,   -- server's time, in milliseconds
            method         INTEGER NOT NULL,   -- 1: SHA-256 of all bytes, read by RWM
            fault          TEXT,               -- how the content is wrong; NULL: it is right
            PRIMARY KEY (directory, name, version_id, last_modified)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        -- The result of the last verification of each state at each level. It outlives a state that is forgotten.
        CREATE TABLE verification (
            state        TEXT NOT NULL,        -- its id
            level        TEXT NOT NULL,        -- structure, content, restic
            checked_at   INTEGER NOT NULL,     -- server's time at the beginning, in milliseconds
            objects      INTEGER NOT NULL,     -- that were found right, now or before
            bytes        INTEGER NOT NULL,     -- of these
            total_bytes  INTEGER NOT NULL,     -- of all that the level can prove
            faults       INTEGER NOT NULL,     -- objects that are wrong or missing
            PRIMARY KEY (state, level)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def m007_audits(db: Database) -> None:
    """The verdicts of the last audits on each state and its parts, and what a person has acknowledged."""
    db.execute(
        """
        -- A verdict on what a state has below a prefix: of all that an audit judged, and of each repository unless all
        -- is clean. An audit replaces all rows below its location. A row outlives a state that is forgotten.
        CREATE TABLE verdict (
            bucket      INTEGER NOT NULL REFERENCES bucket,
            state       TEXT NOT NULL,         -- its id
            prefix      TEXT NOT NULL,         -- the state's or a longer one
            verdict     TEXT NOT NULL,         -- clean, review, suspect
            audited_at  INTEGER NOT NULL,      -- server's time, in milliseconds
            PRIMARY KEY (bucket, state, prefix)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE acknowledgement (
            bucket  INTEGER NOT NULL REFERENCES bucket,
            what    TEXT NOT NULL,             -- id of a finding, or code of a rule
            until   INTEGER NOT NULL,          -- only findings up to this time, in milliseconds
            at      INTEGER NOT NULL,          -- when it was acknowledged
            note    TEXT NOT NULL,
            PRIMARY KEY (bucket, what)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def m008_freezes(db: Database) -> None:
    """Frozen buckets: what their settings were before, and who is frozen."""
    db.execute(
        """
        CREATE TABLE freeze (
            bucket     INTEGER PRIMARY KEY REFERENCES bucket,
            admin      TEXT NOT NULL,          -- principal of the admin
            policy     TEXT,                   -- JSON: the policy before the first freeze; NULL: there was none
            lifecycle  TEXT NOT NULL           -- JSON: the list of lifecycle rules before it
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE frozen_user (
            bucket  INTEGER NOT NULL REFERENCES bucket,
            user    TEXT NOT NULL,             -- principal
            reads   INTEGER NOT NULL,          -- 1: it may still read
            since   INTEGER NOT NULL,          -- server's time, in milliseconds
            note    TEXT NOT NULL,
            PRIMARY KEY (bucket, user)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def m009_verifiers(db: Database) -> None:
    """Who has verified a version or a state."""
    db.execute(
        """
        CREATE TABLE verifier (
            id    INTEGER PRIMARY KEY,
            name  TEXT NOT NULL UNIQUE         -- account and computer: admin@host1
        ) STRICT
        """
    )
    for table in ("content", "verification"):  # NULL: an older version of RWM, which did not record it
        db.execute(f"ALTER TABLE {table} ADD COLUMN verifier INTEGER REFERENCES verifier")


@migrations()
def m010_operations(db: Database) -> None:
    """What RWM itself did to buckets as their admin."""
    db.execute(
        """
        CREATE TABLE operation (
            number    INTEGER PRIMARY KEY,
            id        TEXT NOT NULL UNIQUE,    -- also in the name of the record in the bucket
            kind      TEXT NOT NULL,           -- roll-back, prune, ...
            bucket    INTEGER NOT NULL REFERENCES bucket,
            prefix    TEXT NOT NULL,
            at        INTEGER NOT NULL,        -- server's time of the start, in milliseconds
            account   TEXT NOT NULL,           -- id of the account that ran it
            note      TEXT NOT NULL,
            ended_at  INTEGER                  -- NULL: it runs, or it was interrupted
        ) STRICT
        """
    )
    db.execute(
        """
        -- Versions and delete markers that an operation wrote, and delete markers that it removed. Versions that it
        -- removed are in the record in the bucket only: an audit does not need them.
        CREATE TABLE operation_change (
            number      INTEGER PRIMARY KEY,
            operation   INTEGER NOT NULL REFERENCES operation,
            did         TEXT NOT NULL,         -- copied, marked, unmarked
            key         TEXT NOT NULL,
            version_id  TEXT NOT NULL,         -- of the copy or the delete marker
            source      TEXT NOT NULL,         -- version that was copied; or empty
            before      TEXT NOT NULL,         -- version or delete marker that was current before; empty: none was
            at          INTEGER NOT NULL,      -- time of the delete marker that was removed, in milliseconds; or 0
            why         TEXT NOT NULL
        ) STRICT
        """
    )


@migrations()
def m011_retentions(db: Database) -> None:
    """Object Lock retention that RWM has set."""
    db.execute(
        """
        -- The last retention that RWM has set on each version, or found to be longer. A row outlives the states that
        -- have the version, until `rwm prune` of this computer deletes the version. Values are as in the table version.
        CREATE TABLE retention (
            directory   INTEGER NOT NULL REFERENCES directory,
            name        ANY NOT NULL,
            version_id  ANY NOT NULL,
            compliance  INTEGER NOT NULL,      -- 1: mode COMPLIANCE, 0: GOVERNANCE
            until       INTEGER NOT NULL,      -- milliseconds since 1970 UTC
            PRIMARY KEY (directory, name, version_id)
        ) STRICT, WITHOUT ROWID
        """
    )


@migrations()
def m012_prunes(db: Database) -> None:
    """Prunes that this computer ran."""
    db.execute(
        """
        CREATE TABLE prune (
            id        TEXT PRIMARY KEY,        -- of its operation
            bucket    INTEGER NOT NULL REFERENCES bucket,
            prefix    TEXT NOT NULL,
            at        INTEGER NOT NULL,        -- server's time of its start, in milliseconds
            ended_at  INTEGER,                 -- NULL: it runs, or was interrupted
            plan      TEXT NOT NULL,           -- JSON: what was to stay, and the states that lose versions
            result    TEXT                     -- JSON: what was deleted
        ) STRICT, WITHOUT ROWID
        """
    )


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

STEPS = frozenset(str(step.name) for step in migrations.pending(Database(memory=True)))
"""Names of all migrations that this version knows; an index with others is newer."""
