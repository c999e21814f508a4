"""Rows about single versions, in tables that are keyed by directory, name and version id."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import groupby
from typing import Literal

from rwm.index.directories import bucket_id, find_directory
from rwm.index.packed import pack
from rwm.names import split_key


def forget_versions(
    connection: sqlite3.Connection,
    table: Literal["content", "retention"],
    bucket: str,
    versions: Iterable[tuple[str, str]],
) -> None:
    """Delete the rows of versions, (key, version id). The caller holds the transaction."""
    if connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None:
        return
    number = bucket_id(connection, bucket)
    for path, group in groupby(versions, lambda version: split_key(version[0])[0]):
        directory = find_directory(connection, number, path)
        rows = [(directory, pack(split_key(key)[1]), pack(version_id)) for key, version_id in group]
        connection.executemany(f"DELETE FROM {table} WHERE directory = ? AND name = ? AND version_id = ?", rows)
