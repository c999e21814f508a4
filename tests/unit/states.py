"""States and their files, made by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO

from rwm.index import Index
from rwm.index.batches import diff_batches, entry_batches
from rwm.index.packed import pack
from rwm.model import Change, Entry, Origin, StateInfo, StateTree
from rwm.names import hidden_keys
from rwm.statefile import OriginalState
from rwm.statefile.canonical import identified
from rwm.statefile.decompress import pieces

BUCKET = "bucket1"


def entry(key: str, version: str = "v1", size: int = 1) -> Entry:
    return Entry(key, version, size, f"etag-{version}", 1000)


def listed(contents: Mapping[str, str]) -> list[Entry]:
    """Entries, sorted by key, of versions by key."""
    return sorted(entry(key, version) for key, version in contents.items())


def state(
    second: int, entries: Iterable[Entry], bucket: str = BUCKET, origin: Origin = "capture", prefix: str = ""
) -> StateInfo:
    """With its true id."""
    found = list(entries)
    size = sum(e.size for e in found)
    return identified(StateInfo("", bucket, second * 1000, origin, len(found), size, prefix=prefix), found)


def changes(before: Iterable[Entry], after: Iterable[Entry]) -> Iterator[Change]:
    """The changes between two states, whose entries are sorted by key."""
    return diff_batches(entry_batches(before), entry_batches(after))


def read_original(file: IO[bytes], name: str = "") -> tuple[StateInfo, list[Entry]]:
    """The state of a file of the original tool, with its id, and its entries sorted by key."""
    state = OriginalState(pieces(file), name)
    latest: dict[str, Entry | None] = {}
    for key, entry in state.latest():
        if key in latest:
            raise state.twice()
        latest[key] = entry
    entries = [entry for _, entry in sorted(latest.items()) if entry is not None]
    return identified(state.info(len(entries), sum(entry.size for entry in entries)), entries), entries


def put(index: Index, second: int, contents: Mapping[str, str], bucket: str = BUCKET, prefix: str = "") -> StateInfo:
    """Record a state, of versions by key."""
    info = state(second, listed(contents), bucket, prefix=prefix)
    index.record(info, listed(contents))
    return info


def name_another_version(path: Path, key: str, version_id: str) -> None:
    """Make all states in an index file name another version of a key, as an editor of SQLite files does."""
    name = pack(key.rpartition("/")[2])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        done = connection.execute("UPDATE version SET version_id = ? WHERE name = ?", (pack(version_id), name))
        assert done.rowcount >= 1


def walk(tree: StateTree) -> dict[str, list[str]]:
    """Names in each directory, which has a slash after its name, in pages of two; each found by name too.

    The directory itself is named as keys name it: the tree's prefix, ``""`` for a whole bucket, is the root.
    """
    found: dict[str, list[str]] = {}
    todo = [(tree.prefix, tree.root)]
    while todo:
        path, directory = todo.pop()
        found[path], after = [], ""
        while page := tree.children(directory, after, limit=2):
            after = page[-1].name
            for node in page:
                assert tree.child(directory, node.name) == node
                assert (node.entry is None) != (node.directory is None)
                if node.directory is not None:
                    todo.append((f"{path}{node.name}/", node.directory))
                elif node.entry:
                    assert node.entry.key == path + node.name
                found[path].append(node.name + "/" * (node.entry is None))
    return found


def files_of(tree: StateTree) -> list[str]:
    """Keys of all files that a walk of the tree finds."""
    return sorted(path + name for path, names in walk(tree).items() for name in names if not name.endswith("/"))


def shown(keys: Iterable[str]) -> dict[str, list[str]]:
    """What :func:`walk` finds of keys that all can be shown."""
    found: dict[str, set[str]] = {"": set()}
    for key in keys:
        path = ""
        *above, name = key.split("/")
        for directory in above:
            found[path].add(f"{directory}/")
            path += f"{directory}/"
            found.setdefault(path, set())
        found[path].add(name)
    return {path: sorted(names, key=lambda name: name.rstrip("/")) for path, names in found.items()}


def repository_roots(keys: Collection[str]) -> set[str]:
    """The prefixes of repositories among keys that all can be shown, in the plainest way."""
    directories = {key[:end] for key in keys for end in range(len(key) + 1) if not end or key[end - 1] == "/"}
    return {
        path
        for path in directories
        if f"{path}config" in keys and all(f"{path}{name}/" in directories for name in ("keys", "data"))
    }


def mounted_paths(keys: Collection[str], prefix: str = "") -> tuple[set[str], set[str]]:
    """(files, directories) that a mount at a prefix has to show of these keys, without the prefix.

    The root of the mount and the root of each repository have an empty ``locks``, in place of what is there.
    """
    hidden = hidden_keys(keys)
    shown = {key.removeprefix(prefix) for key in keys if key.startswith(prefix) and key not in hidden}
    roots = repository_roots(shown) | {""}
    files = {key for key in shown if not any(f"{key}/".startswith(f"{root}locks/") for root in roots)}
    directories = {key[:end] for key in files for end, letter in enumerate(key) if letter == "/"}
    visible = {root for root in roots if not root or root[:-1] in directories}
    return files, directories | {f"{root}locks" for root in visible}
