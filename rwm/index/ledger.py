"""The ledger: trust of states, their files in the bucket, and files that sync ignores."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from rwm.index.connection import errors, transaction
from rwm.index.directories import bucket_id
from rwm.location import Location
from rwm.model import StateInfo, StoredFile, Trust

RECORDED_AS = "recorded as "
"""The reason why sync ignores a file that it has imported and whose name has no state id; the id follows."""


def _begins(column: str) -> str:
    """The condition that a column begins with ``:prefix``."""
    return f"substr({column}, 1, length(:prefix)) = :prefix"


class Ledger:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def note_new(self, info: StateInfo, trust: Trust, stored: StoredFile | None) -> None:
        """Record a new state's trust and file. The caller holds the transaction."""
        size, base = stored or (None, None)
        self._connection.execute(
            "UPDATE state SET trust = ?, file_size = ?, base = ? WHERE id = ?", (trust, size, base, info.id)
        )

    def set_trust(self, verdicts: Mapping[str, Trust], at: int) -> None:
        """Record, in one transaction, what a comparison at the time ``at`` found: trust by state id."""
        with errors(self._path), transaction(self._connection):
            self._connection.executemany(
                "UPDATE state SET trust = ?, checked_at = ? WHERE id = ?",
                [(trust, at, number) for number, trust in verdicts.items()],
            )

    def reset_trust(self, location: Location) -> None:
        """Make sync read ignored files again, and compare all states below the location except those captured here."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, location.bucket)
            at = {"bucket": number, "prefix": location.prefix}
            self._connection.execute(
                f"DELETE FROM passed_over WHERE bucket = :bucket AND ({_begins('file')} OR {_begins('prefix')})", at
            )
            self._connection.execute(
                "UPDATE state SET trust = 'unchecked', checked_at = NULL "
                f"WHERE bucket = :bucket AND {_begins('prefix')} AND trust != 'own'",
                at,
            )

    def stored_file(self, info: StateInfo) -> StoredFile | None:
        """The state's file in the bucket, None if none is known."""
        with errors(self._path):
            row = self._connection.execute("SELECT file_size, base FROM state WHERE id = ?", (info.id,)).fetchone()
        return None if row is None or row[0] is None else StoredFile(*row)

    def chain_sizes(self, state_id: str) -> tuple[int, list[int]] | None:
        """Sizes of the files from which the state is read in its bucket: (full file, deltas upon it).

        None if one of them is not known to be in the bucket, if a state of the chain is contradicted or of another
        location, or if the chain is a circle, which forged files can form.
        """
        sizes: list[int] = []
        seen: set[str] = set()
        here: str | None = state_id
        while here is not None:
            if here in seen:
                return None
            seen.add(here)
            with errors(self._path):
                row = self._connection.execute(
                    "SELECT file_size, base FROM state "
                    "WHERE id = ? AND file_size IS NOT NULL AND trust != 'contradicted' "
                    "AND (bucket, prefix) = (SELECT bucket, prefix FROM state WHERE id = ?)",
                    (here, state_id),
                ).fetchone()
            if row is None:
                return None
            size, here = row
            sizes.append(size)
        return sizes.pop(), sizes[::-1]

    def ignore(self, bucket: str, file: str, why: str) -> None:
        """Make sync ignore a file (key and version id) from now on."""
        self._ignore(bucket, "", file, why)

    def ignore_state(self, info: StateInfo, why: str) -> None:
        """Make sync ignore a state, whatever file it is in, from now on."""
        self._ignore(info.bucket, info.prefix, info.id, why)

    def _ignore(self, bucket: str, prefix: str, file: str, why: str) -> None:
        with errors(self._path):
            self._connection.execute(
                "INSERT OR REPLACE INTO passed_over (bucket, prefix, file, why) VALUES (?, ?, ?, ?)",
                (bucket_id(self._connection, bucket, create=True), prefix, file, why),
            )

    def stop_ignoring(self, bucket: str, file: str) -> None:
        """Undo :meth:`ignore` or, for the id of a state, :meth:`ignore_state`."""
        with errors(self._path):
            self._connection.execute(
                "DELETE FROM passed_over WHERE bucket = ? AND file = ?", (bucket_id(self._connection, bucket), file)
            )

    def state_in_file(self, bucket: str, key: str) -> str | None:
        """Id of the state that sync imported from a file without a state id in its name; None if it imported none."""
        for file, why in self.ignored(bucket).items():
            if file.rpartition("@")[0] == key and why.startswith(RECORDED_AS):
                return why.removeprefix(RECORDED_AS)
        return None

    def ignored(self, bucket: str) -> dict[str, str]:
        """The files and states that sync ignores, with the reasons."""
        with errors(self._path):
            return dict(
                self._connection.execute(
                    "SELECT file, why FROM passed_over WHERE bucket = ?", (bucket_id(self._connection, bucket),)
                )
            )
