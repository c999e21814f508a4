"""A recorded state, or the part of it below a prefix, as directories that are read on demand: for a mount."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rwm.errors import StateNotFound
from rwm.index.connection import errors
from rwm.index.directories import SUBTREE
from rwm.index.packed import Packed, least_after, pack, unpack
from rwm.index.upload_order import PackOrder
from rwm.model import Entry, StateInfo, TreeNode

_FILE = "name, version_id, size, etag, last_modified"
_CURRENT = "since <= :T AND until > :T"
_TOTALS = f"SELECT count(*), coalesce(sum(size), 0) FROM version WHERE directory IN {SUBTREE} AND {_CURRENT}"


def _ranges(after: str) -> Iterator[tuple[str, Packed]]:
    """(condition on ``name``, bound) for each range of names that sort after the text: of text, and of packed names."""
    yield "name > :after AND name < x''", after
    packed = pack(after)
    if isinstance(packed, bytes):
        yield "name > :after", packed
    elif (least := least_after(after)) is not None:
        yield "name >= :after", least


class IndexTree:
    """Implements :class:`rwm.model.StateTree`. A directory exists if a key that can be shown is below it.

    ``root`` is the row of the directory ``prefix``, NO_DIRECTORY if there is none.

    Methods raise StateNotFound once the state is no longer in the index: its names are unknown then, not absent.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, info: StateInfo, root: int, prefix: str, moment: int
    ) -> None:
        self._connection = connection
        self._path = path
        self._moment = moment
        self._shown: dict[int, bool] = {}
        self._prefixes: dict[int, str] = {root: prefix}
        self.root = root
        self.prefix = prefix
        self.info = info

    def child(self, directory: int, name: str) -> TreeNode | None:
        """The file or directory of that name, or None. A directory shadows a file."""
        with errors(self._path):
            found = self._child(directory, name)
            self._check_recorded()
        return found

    def _child(self, directory: int, name: str) -> TreeNode | None:
        row = self._connection.execute(
            "SELECT id FROM directory WHERE parent = ? AND name = ? AND NOT hidden", (directory, pack(name))
        ).fetchone()
        if row and self._is_shown(row[0]):
            return TreeNode(name, row[0], None)
        file = self._connection.execute(
            f"SELECT {_FILE} FROM version WHERE directory = :d AND name = :n AND {_CURRENT} AND NOT hidden",
            {"d": directory, "n": pack(name), "T": self._moment},
        ).fetchone()
        return self._file(directory, file) if file else None

    def children(self, directory: int, after: str = "", limit: int = 1000) -> list[TreeNode]:
        """Up to ``limit`` children with ``name > after``, sorted by name."""
        with errors(self._path):
            found = {node.name: node for node in self._files(directory, after, limit)}
            for node in self._directories(directory, after, limit):
                found[node.name] = node
            self._check_recorded()
        return [found[name] for name in sorted(found)][:limit]

    def _check_recorded(self) -> None:
        """Raise StateNotFound if the state was forgotten during the read.

        The moment is compared too, because a state that is recorded again may have another one.
        """
        query = "SELECT 1 FROM state WHERE id = ? AND moment = ?"
        if not self._connection.execute(query, (self.info.id, self._moment)).fetchone():
            self._shown.clear()
            raise StateNotFound(f"state {self.info.short} is not in the index any more")

    def _files(self, directory: int, after: str, limit: int) -> Iterator[TreeNode]:
        for condition, bound in _ranges(after):
            rows = self._connection.execute(
                f"SELECT {_FILE} FROM version WHERE directory = :d AND {condition} AND {_CURRENT} AND NOT hidden "
                "ORDER BY name LIMIT :limit",
                {"d": directory, "after": bound, "T": self._moment, "limit": limit},
            )
            yield from (self._file(directory, row) for row in rows.fetchall())

    def _directories(self, directory: int, after: str, limit: int) -> Iterator[TreeNode]:
        for condition, bound in _ranges(after):
            rows = self._connection.execute(
                f"SELECT name, id FROM directory WHERE parent = :d AND {condition} AND NOT hidden ORDER BY name",
                {"d": directory, "after": bound},
            )
            yield from islice(
                (TreeNode(unpack(name), number, None) for name, number in rows if self._is_shown(number)), limit
            )

    def _file(self, directory: int, row: tuple[Packed, Packed, int, Packed, int]) -> TreeNode:
        name, version_id, size, etag, last_modified = unpack(row[0]), unpack(row[1]), row[2], unpack(row[3]), row[4]
        return TreeNode(name, None, Entry(self._prefix(directory) + name, version_id, size, etag, last_modified))

    def _prefix(self, directory: int) -> str:
        """The prefix of the keys in the directory, with its slash."""
        names: list[str] = []
        here = directory
        while here not in self._prefixes:
            here, name = self._connection.execute("SELECT parent, name FROM directory WHERE id = ?", (here,)).fetchone()
            names.append(unpack(name))
        if names:
            self._prefixes[directory] = self._prefixes[here] + "".join(f"{name}/" for name in reversed(names))
        return self._prefixes[directory]

    def _is_shown(self, directory: int) -> bool:
        """Whether the state has a key below the directory that can be shown."""
        shown = self._shown.get(directory)
        if shown is None:
            row = self._connection.execute(
                f"""WITH RECURSIVE below (id) AS (
                        VALUES (:d)
                        UNION ALL SELECT d.id FROM directory d JOIN below ON d.parent = below.id WHERE NOT d.hidden)
                    SELECT EXISTS (SELECT 1 FROM below JOIN version v ON v.directory = below.id
                                   WHERE {_CURRENT} AND NOT v.hidden)""",
                {"d": directory, "T": self._moment},
            ).fetchone()
            shown = self._shown[directory] = bool(row[0])
        return shown

    def upload_order(self, root: str) -> PackOrder:
        """The packs of a repository in the order of their upload. Thread-safe; takes a second for a million packs."""
        return PackOrder(self._path, self.info, root)

    def totals(self) -> tuple[int, int]:
        """Objects and bytes below the root, hidden keys included. Takes a second for some million objects.

        At once for the root of the state.
        """
        if self.prefix == self.info.prefix:
            return self.info.objects, self.info.bytes
        with errors(self._path):
            objects, size = self._connection.execute(_TOTALS, {"root": self.root, "T": self._moment}).fetchone()
            self._check_recorded()
        return objects, size

    def hidden_count(self) -> int:
        """The number of hidden keys. The cost grows with their number, not with the state."""
        with errors(self._path):
            count = sum(1 for _ in self._hidden())
            self._check_recorded()
        return count

    def hidden_keys(self) -> Iterator[str]:
        """The hidden keys, in no order."""
        with errors(self._path):
            for directory, name in self._hidden():
                yield self._prefix(directory) + unpack(name)
            self._check_recorded()

    def _hidden(self) -> Iterator[tuple[int, Packed]]:
        """(directory, name) of each key in a hidden directory, with a hidden name, or with the name of a directory."""
        at = {"T": self._moment, "root": self.root}
        yield from self._connection.execute(
            f"SELECT v.directory, v.name FROM directory d JOIN version v ON v.directory = d.id "
            f"WHERE d.id IN {SUBTREE} AND {_CURRENT} AND d.hidden",
            at,
        )
        yield from self._connection.execute(
            f"SELECT v.directory, v.name FROM version v INDEXED BY version_hidden JOIN directory d "
            f"ON d.id = v.directory WHERE v.hidden AND {_CURRENT} AND d.id IN {SUBTREE} AND NOT d.hidden",
            at,
        )
        shared = self._connection.execute(
            f"SELECT v.directory, v.name, d.id FROM directory d JOIN version v "
            f"ON v.directory = d.parent AND v.name = d.name "
            f"WHERE d.id IN {SUBTREE} AND d.id != :root AND {_CURRENT} AND NOT d.hidden",
            at,
        ).fetchall()
        for directory, name, number in shared:
            if self._is_shown(number):
                yield directory, name
