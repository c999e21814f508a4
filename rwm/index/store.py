"""The index as the rest of RWM sees it: record a state, find one, read it back."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rwm.errors import IndexUnusable, StateNotFound, UsageError
from rwm.index.connection import connect, errors, transaction
from rwm.index.incoming import Incoming
from rwm.index.record import bucket_id, forget, record
from rwm.index.references import References
from rwm.index.tree import IndexTree
from rwm.model import Entry, StateInfo
from rwm.times import SECOND, iso, looks_like_time, parse_time

_INFO = "s.id, b.name, s.captured_at, s.origin, s.objects, s.bytes, s.outcome"
_FROM = "FROM state s JOIN bucket b ON b.id = s.bucket"


class Index:
    """States of any number of buckets in one SQLite file. One thread at a time; many processes."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Self:
        """Open it, or make it. Raises IndexUnusable: damaged, no right, or written by a newer version."""
        return cls(connect(path, readonly=readonly), path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def incoming(self) -> Incoming:
        """A spool for a state that is being captured. One at a time."""
        return Incoming(self._connection)

    def record(self, info: StateInfo, entries: Iterable[Entry]) -> bool:
        """Add a state, with its entries sorted by key, in one transaction; False when it is there already."""
        with errors(self.path), transaction(self._connection):
            if self._connection.execute("SELECT 1 FROM state WHERE id = ?", (info.id,)).fetchone():
                return False
            record(self._connection, info, entries)
            return True

    def forget(self, states: Iterable[StateInfo]) -> None:
        """Take states out, each in one transaction; those that are not there are passed over."""
        with errors(self.path):
            for info in states:
                with transaction(self._connection):
                    forget(self._connection, info)

    def states(self, bucket: str | None = None) -> list[StateInfo]:
        """All states, or one bucket's, oldest first."""
        where, values = ("WHERE b.name = ?", (bucket,)) if bucket is not None else ("", ())
        with errors(self.path):
            rows = self._connection.execute(f"SELECT {_INFO} {_FROM} {where} ORDER BY s.moment, b.name", values)
            return [_info(row) for row in rows]

    def resolve(self, text: str, bucket: str | None = None) -> StateInfo:
        """The one state that a person means: a full id, a unique prefix, ``latest``, or the last one by a UTC time.

        ``latest`` and times need a bucket. Raises StateNotFound (none, or several) and UsageError.
        """
        if text == "latest" or looks_like_time(text):
            if bucket is None:
                raise UsageError(
                    f"{text} says no state without a bucket", hint="name the bucket with -b BUCKET, or give an id"
                )
            return self._by_time(text, bucket)
        prefix = text.strip().lower()
        if not prefix or set(prefix) - set("0123456789abcdef"):
            raise StateNotFound(
                f"{text!r} is not a state: expected an id (hexadecimal, or its beginning), latest, or a UTC time",
                hint="`rwm state list` shows the recorded states",
            )
        found = [
            info
            for info in self._where("s.id >= ? AND s.id < ?", (prefix, prefix + "g"))
            if bucket is None or info.bucket == bucket
        ]
        if len(found) == 1:
            return found[0]
        where = f" of bucket {bucket}" if bucket else ""
        if not found:
            raise StateNotFound(
                f"no recorded state{where} has an id that begins with {prefix}",
                hint="`rwm state list` shows the recorded states",
            )
        several = ", ".join(f"{info.id[:12]} ({iso(info.captured_at)})" for info in found[:5])
        raise StateNotFound(f"{len(found)} states{where} begin with {prefix}: {several}", hint="type more of the id")

    def _by_time(self, text: str, bucket: str) -> StateInfo:
        until = (1 << 62) if text == "latest" else parse_time(text) // SECOND * SECOND
        found = self._where("b.name = ? AND s.captured_at <= ? ORDER BY s.moment DESC LIMIT 1", (bucket, until))
        if not found:
            when = "" if text == "latest" else f" at or before {iso(until)}"
            raise StateNotFound(
                f"no state of bucket {bucket} is recorded{when}",
                hint=f"`rwm state capture {bucket}` records it as it is now, with --at TIME as it was then",
            )
        return found[0]

    def _where(self, condition: str, values: tuple[Any, ...]) -> list[StateInfo]:
        with errors(self.path):
            return [_info(row) for row in self._connection.execute(f"SELECT {_INFO} {_FROM} WHERE {condition}", values)]

    def moment(self, info: StateInfo) -> int:
        """The state's place on its bucket's time line. Raises StateNotFound when it is not recorded."""
        with errors(self.path):
            row = self._connection.execute("SELECT moment FROM state WHERE id = ?", (info.id,)).fetchone()
        if row is None:
            raise StateNotFound(f"state {info.id[:12]} is not in the index")
        return int(row[0])

    def tree(self, info: StateInfo) -> IndexTree:
        """The state as directories, for a mount."""
        return IndexTree(self._connection, self.path, info, self._root(info.bucket), self.moment(info))

    def entries(self, info: StateInfo) -> Iterator[Entry]:
        """The state's entries sorted by key (by byte).

        Raises IndexUnusable in the end when they are not as many as the state had when it was captured.
        """
        moment, count = self.moment(info), 0
        with errors(self.path):
            for entry in self._walk(self._root(info.bucket), moment):
                count += 1
                yield entry
        if count != info.objects:
            raise IndexUnusable(
                f"index {self.path}: state {info.id[:12]} has {info.objects} objects, {count} are there",
                hint="move the index away and capture again; the bucket still holds every state",
            )

    def _root(self, bucket: str) -> int:
        with errors(self.path):
            number = bucket_id(self._connection, bucket)
            row = self._connection.execute(
                "SELECT id FROM directory WHERE bucket = ? AND parent = 0 AND name = ''", (number,)
            ).fetchone()
        return int(row[0]) if row else 0

    def _walk(self, root: int, moment: int) -> Iterator[Entry]:
        """Depth first, with a stack of our own: a key may have a thousand slashes."""
        stack = [self._level(root, "", moment)]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
            elif isinstance(item, Entry):
                yield item
            else:
                stack.append(self._level(*item, moment))

    def _level(self, directory: int, path: str, moment: int) -> Iterator[Entry | tuple[int, str]]:
        """A directory's files and (id, path) of its subdirectories, merged in the order of whole keys.

        A directory sorts as its name with a slash.
        """
        files = self._connection.execute(
            "SELECT name, version_id, size, etag, last_modified FROM version "
            "WHERE directory = ? AND since <= ? AND until > ? ORDER BY name",
            (directory, moment, moment),
        )
        children = self._connection.execute("SELECT name, id FROM directory WHERE parent = ?", (directory,))
        subdirectories = sorted((f"{name}/", number) for name, number in children)
        merged: Iterator[tuple[Any, ...]] = heapq.merge(files, subdirectories, key=lambda item: item[0])
        for item in merged:
            yield (item[1], path + item[0]) if len(item) == 2 else Entry(path + item[0], *item[1:])

    def references(self, bucket: str) -> References:
        """Which states of the bucket need which versions, to be asked key by key."""
        moments = [self.moment(info) for info in self.states(bucket)]
        return References(self._connection, self.path, self._root(bucket), moments)


def _info(row: tuple[Any, ...]) -> StateInfo:
    return StateInfo(*row)
