"""What verifications have found: a result for each version whose content was read, and a summary for each state."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rwm.index.connection import errors, transaction
from rwm.index.directories import NO_DIRECTORY, DirectoryFinder, bucket_id, find_directory
from rwm.index.packed import pack
from rwm.index.version_rows import forget_versions
from rwm.model import Entry, Level, ObjectVersion, Verification
from rwm.names import split_key

SHA256 = 1
"""``method`` of a result: the SHA-256 of all bytes."""

_RECORD = """
    INSERT INTO content (directory, name, version_id, last_modified, checked_at, method, fault, verifier)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET checked_at = excluded.checked_at, method = excluded.method, fault = excluded.fault,
        verifier = excluded.verifier
"""

_PROOF = (
    "SELECT 1 FROM content WHERE directory = ? AND name = ? AND version_id = ? AND last_modified = ? AND fault IS NULL"
)

_SUMMARIES = """
    SELECT state, level, checked_at, objects, bytes, total_bytes, faults, coalesce(name, '')
    FROM verification LEFT JOIN verifier ON verifier.id = verification.verifier
"""


class Verifications:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def record_content(self, bucket: str, results: Iterable[tuple[Entry, str | None]], at: int, by: str = "") -> None:
        """Record, in one transaction, for versions that were read at ``at`` how their content is wrong (None: not)."""
        with errors(self._path), transaction(self._connection):
            number, verifier = bucket_id(self._connection, bucket), self._verifier_id(by)
            for entry, fault in results:
                path, name = split_key(entry.key)
                directory = find_directory(self._connection, number, path)
                if directory == NO_DIRECTORY:  # the index was replaced meanwhile
                    continue
                version = (pack(entry.version_id), entry.last_modified)
                self._connection.execute(_RECORD, (directory, pack(name), *version, at, SHA256, fault, verifier))

    def forget_content(self, bucket: str, versions: Iterable[tuple[str, str]]) -> None:
        """Drop the results for versions, (key, version id), that are deleted; in one transaction."""
        with errors(self._path), transaction(self._connection):
            forget_versions(self._connection, "content", bucket, versions)

    def proofs(self, bucket: str) -> Callable[[ObjectVersion], bool]:
        """Says whether the content of a version of the bucket was read and matched its name. Fastest in key order."""
        with errors(self._path):
            directories = DirectoryFinder(self._connection, bucket_id(self._connection, bucket))

        def is_proved(version: ObjectVersion) -> bool:
            path, name = split_key(version.key)
            with errors(self._path):
                place = (directories.id(path), pack(name), pack(version.version_id))
                found = self._connection.execute(_PROOF, (*place, version.last_modified))
                return found.fetchone() is not None

        return is_proved

    def record(self, state_id: str, level: Level, result: Verification) -> None:
        """Record the summary of a verification that has ended, in place of the one before."""
        with errors(self._path), transaction(self._connection):
            *values, by = result
            self._connection.execute(
                "INSERT OR REPLACE INTO verification VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (state_id, level, *values, self._verifier_id(by)),
            )

    def of_states(self) -> Mapping[str, Mapping[Level, Verification]]:
        """The summaries by level, by state id, of all states that have any."""
        found: defaultdict[str, dict[Level, Verification]] = defaultdict(dict)
        with errors(self._path):
            for state_id, level, *result in self._connection.execute(_SUMMARIES):
                found[state_id][level] = Verification(*result)
        return found

    def _verifier_id(self, name: str) -> int | None:
        """The number of an account and computer; None if they are not known."""
        if not name:
            return None
        self._connection.execute("INSERT OR IGNORE INTO verifier (name) VALUES (?)", (name,))
        found = self._connection.execute("SELECT id FROM verifier WHERE name = ?", (name,)).fetchone()
        return int(found[0])
