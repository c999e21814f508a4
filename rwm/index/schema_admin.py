"""The tables of what the admin's commands record: the migrations after those of :mod:`rwm.index.schema`."""

from __future__ import annotations

from sqlite_utils import Database

from rwm.index.schema import migrations


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


@migrations()
def m013_found_locks(db: Database) -> None:
    """Locks that RWM did not set, and that kept a prune from deleting."""
    db.execute(
        """
        CREATE TABLE found_lock (
            bucket      INTEGER NOT NULL REFERENCES bucket,
            key         TEXT NOT NULL,
            version_id  TEXT NOT NULL,
            until       INTEGER NOT NULL,      -- server's time until which it is known, in milliseconds
            PRIMARY KEY (bucket, key, version_id)
        ) STRICT, WITHOUT ROWID
        """
    )


STEPS = frozenset(str(step.name) for step in migrations.pending(Database(memory=True)))
"""Names of all migrations that this version knows; an index with others is newer."""
