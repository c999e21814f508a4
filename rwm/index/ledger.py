"""What the index knows about states beside their entries: trust, files in the bucket, and what sync leaves alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from rwm.index.connection import errors, transaction
from rwm.index.record import bucket_id
from rwm.model import StateInfo, StoredFile, Trust

RECORDED_AS = "recorded as "
"""Why sync passes a file over whose name does not say what state it holds; the state's id follows."""


class Ledger:
    """A part of :class:`rwm.index.Index`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def describe(self, info: StateInfo, trust: Trust, stored: StoredFile | None) -> None:
        """Note a new state's trust and file. The caller holds the transaction."""
        size, base = stored or (None, None)
        self._connection.execute(
            "UPDATE state SET trust = ?, file_size = ?, base = ? WHERE id = ?", (trust, size, base, info.id)
        )

    def judge(self, verdicts: Mapping[str, Trust], at: int) -> None:
        """Note what a comparison at the time ``at`` found, by state id: all of it or nothing."""
        with errors(self._path), transaction(self._connection):
            self._connection.executemany(
                "UPDATE state SET trust = ?, checked_at = ? WHERE id = ?",
                [(trust, at, number) for number, trust in verdicts.items()],
            )

    def forget_verdicts(self, bucket: str) -> None:
        """Have everything of the bucket looked at once more: all states but its own, and what was passed over."""
        with errors(self._path), transaction(self._connection):
            number = bucket_id(self._connection, bucket)
            self._connection.execute("DELETE FROM passed_over WHERE bucket = ?", (number,))
            self._connection.execute(
                "UPDATE state SET trust = 'unchecked', checked_at = NULL WHERE bucket = ? AND trust != 'own'", (number,)
            )

    def stored(self, info: StateInfo) -> StoredFile | None:
        """The state's file in the bucket, None when none is known."""
        with errors(self._path):
            row = self._connection.execute("SELECT file_size, base FROM state WHERE id = ?", (info.id,)).fetchone()
        return None if row is None or row[0] is None else StoredFile(*row)

    def chain(self, state_id: str) -> tuple[int, list[int]] | None:
        """Sizes of the files that the state is read from in its bucket: of the full one, and of the deltas upon it.

        None when one of them is not known to be there, or the bucket's history contradicts one of the states. Files in
        a bucket may build upon each other in a circle, where somebody put them: nothing can be read from those alone.
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
                    "SELECT file_size, base FROM state WHERE id = ? AND file_size IS NOT NULL "
                    "AND trust != 'contradicted' AND bucket = (SELECT bucket FROM state WHERE id = ?)",
                    (here, state_id),
                ).fetchone()
            if row is None:
                return None
            size, here = row
            sizes.append(size)
        return sizes.pop(), sizes[::-1]

    def pass_over(self, bucket: str, file: str, why: str) -> None:
        """Have sync leave a file (key and version id) or a state (id) alone from now on."""
        with errors(self._path):
            self._connection.execute(
                "INSERT OR REPLACE INTO passed_over VALUES (?, ?, ?)",
                (bucket_id(self._connection, bucket, create=True), file, why),
            )

    def look_again(self, bucket: str, file: str) -> None:
        """Take back :meth:`pass_over`."""
        with errors(self._path):
            self._connection.execute(
                "DELETE FROM passed_over WHERE bucket = ? AND file = ?", (bucket_id(self._connection, bucket), file)
            )

    def recorded_as(self, bucket: str, key: str) -> str | None:
        """Id of the state that sync found in the file of that key, whose name does not say it; None for none."""
        for file, why in self.passed_over(bucket).items():
            if file.rpartition("@")[0] == key and why.startswith(RECORDED_AS):
                return why.removeprefix(RECORDED_AS)
        return None

    def passed_over(self, bucket: str) -> dict[str, str]:
        """What is left alone, and why."""
        with errors(self._path):
            return dict(
                self._connection.execute(
                    "SELECT file, why FROM passed_over WHERE bucket = ?", (bucket_id(self._connection, bucket),)
                )
            )
