"""Finding restic repositories and state files below a location, by a bounded walk through its directories.

A machine with keys for its own prefix can make any number of directories there, and must not hide the repository of
another one. So the walk is breadth-first; a level takes at most half of the visits that are left, so that some are left
for deeper levels; and when it has more directories, each directory above them gets an equal share (:func:`fair_share`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, zip_longest
from typing import NamedTuple

from rwm.errors import AccessDenied, NotFound
from rwm.layout import (
    CONFIG_FILE,
    KEYS_DIRECTORY,
    REPOSITORY_DIRECTORIES,
    STATES_PREFIX,
    enclosing_root,
    is_key_file,
    is_own_key,
    is_repository_root,
)
from rwm.location import Location
from rwm.names import component_hidden_reason
from rwm.repositories import inside_repository
from rwm.s3.listing.check import keys_of
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.queue import merge_in_threads

MAX_DIRECTORIES = 10_000
"""Directories that a walk visits at most: as many requests."""

_MAX_NAMES = 10_000  # of one directory; ten pages
_CONNECTIONS = 8
_KEYS = f"{KEYS_DIRECTORY}/"


class Directory(NamedTuple):
    """A directory, as far as discovery needs it; ``directories`` are the prefixes of those in it.

    Deleted keys count while they have versions: a repository that somebody deleted is still one.
    """

    prefix: str
    directories: Collection[str]
    has_config: bool
    is_empty: bool
    has_key_file: bool = False
    """Whether a file in it has a name that restic gives to those in ``keys/``."""

    @property
    def is_repository(self) -> bool:
        """Whether it is the root of a repository."""
        names = {path[len(self.prefix) : -1] for path in self.directories}
        return is_repository_root([CONFIG_FILE] if self.has_config else [], names)


@dataclass(frozen=True)
class Discovered:
    """The prefixes of repositories, and of what has state files: ``host1/`` for ``host1/rwm/states/``."""

    repositories: set[str] = field(default_factory=set)
    state_prefixes: set[str] = field(default_factory=set)


def discover(s3: Lister, location: Location, top: Directory | None = None, limit: int | None = None) -> Discovered:
    """The repositories and prefixes of state files at and below a location.

    ``top`` is the location's own directory, if it was read already: with one repository in it and nothing else, no
    request is made then. Raises the errors of the listing.
    """
    walk = Walk(MAX_DIRECTORIES if limit is None else limit)
    walk.add(top or read_directory(s3, location.bucket, location.prefix))
    while level := walk.next_level():
        for directory in _read_directories(s3, location.bucket, level):
            walk.add(directory)
    return walk.found


class Walk:
    """Decides which directories to visit, and collects what they show. Pure."""

    def __init__(self, limit: int) -> None:
        self.found = Discovered()
        self._left = limit
        self._share = (limit + 1) // 2  # of the next level
        self._next: list[str] = []
        self._candidates: set[str] = set()
        """Directories that are a repository if a key file is in their ``keys/``."""

    def add(self, directory: Directory) -> None:
        """Note a visited directory, and plan to visit those in it."""
        prefix = directory.prefix
        skipped: set[str] = set()
        if directory.is_repository:
            self.found.repositories.add(prefix)
            skipped = {f"{prefix}{name}/" for name in REPOSITORY_DIRECTORIES}
        elif directory.has_config:
            self._candidates.add(prefix)
        elif directory.has_key_file and (above := prefix.removesuffix(_KEYS)) in self._candidates:
            self.found.repositories.add(above)  # before its first backup, which makes data/
        for path in directory.directories:
            if is_own_key(path):
                if path == STATES_PREFIX or path.endswith(f"/{STATES_PREFIX}"):
                    self.found.state_prefixes.add(path.removesuffix(STATES_PREFIX))
            elif path not in skipped and component_hidden_reason(path[len(prefix) : -1]) is None:
                self._next.append(path)
        if len(self._next) > 2 * self._share:  # bounds memory
            self._next = fair_share(self._next, self._share)

    def next_level(self) -> list[str]:
        """The directories to visit now; none when the walk is complete or at its limit."""
        level, self._next = fair_share(self._next, self._share), []
        self._left -= len(level)
        self._share = (self._left + 1) // 2
        return level


def fair_share(paths: Sequence[str], limit: int) -> list[str]:
    """At most ``limit`` of the directories, so that all directories above them get equal shares of the limit."""
    return list(paths) if len(paths) <= limit else list(islice(_take_turns(sorted(paths), 0), limit))


def _take_turns(paths: Iterable[str], start: int) -> Iterator[str]:
    """The paths in turns: one of each group with the same component at ``start``, then the next of each group."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(path[start : path.find("/", start) + 1], []).append(path)
    turns = [
        iter(group) if len(group) == 1 else _take_turns(group, start + len(name)) for name, group in groups.items()
    ]
    yield from (path for turn in zip_longest(*turns) for path in turn if path is not None)


def _read_directories(s3: Lister, bucket: str, paths: Sequence[str]) -> Iterator[Directory]:
    """Read directories, several at once."""
    if len(paths) == 1:
        yield read_directory(s3, bucket, paths[0])
        return

    def read(path: str) -> list[Directory]:
        return [read_directory(s3, bucket, path)]

    yield from merge_in_threads([partial(read, path) for path in paths], min(_CONNECTIONS, len(paths)))


def read_directory(s3: Lister, bucket: str, prefix: str) -> Directory:
    """Read a directory; at most ``_MAX_NAMES`` names of it."""
    config, has_config, count = prefix + CONFIG_FILE, False, 0
    may_have_key_files, has_key_file = prefix.endswith(_KEYS), False
    directories: list[str] = []
    for level in s3.level(bucket, prefix):
        directories += level.prefixes
        has_config = has_config or config in keys_of(level.versions)
        if may_have_key_files:
            has_key_file = has_key_file or any(is_key_file(key[len(prefix) :]) for key in keys_of(level.versions))
        count += len(level.versions) + len(level.prefixes)
        if count >= _MAX_NAMES:
            break
    return Directory(prefix, directories, has_config, count == 0, has_key_file)


def check_location(s3: Lister, location: Location, top: Directory | None = None) -> None:
    """Refuse a prefix that cannot be a repository's. ``top`` is its directory, if it was read already.

    Raises UsageError if it is in a directory of a repository above it, NotFound if nothing is below it.
    """
    if not location.prefix:
        return
    top = top or read_directory(s3, location.bucket, location.prefix)
    if top.is_repository:
        return
    if repository := enclosing_repository(s3, location):
        raise inside_repository(location, repository)
    if top.is_empty:
        raise NotFound(
            f"nothing is stored below {location}, and nothing was",
            hint="check the prefix; `rwm restic init` creates a repository there if restic_bucket names it",
        )


def enclosing_repository(s3: Lister, location: Location) -> Location | None:
    """The repository one of whose own directories the location is, or is in: ``bucket1`` for ``bucket1/data``.

    None if there is none, or if the account may not list above the location.
    """

    def is_root(prefix: str) -> bool:
        try:
            return read_directory(s3, location.bucket, prefix).is_repository
        except AccessDenied:
            return False

    root = enclosing_root(location.prefix, is_root)
    return None if root is None else Location(location.bucket, root)
