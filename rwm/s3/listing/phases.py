"""Listing a location for a capture, in an order that is safe while restic writes to any repository in it.

restic writes packs, then the index that names them, then the snapshot; it deletes in the reverse order. So a listing
that includes keys created meanwhile must read, in each repository, the snapshots before the index and the packs last.
What is not known to be in a repository is listed too, for the caller to leave out what was created meanwhile. So is a
repository inside the own directories of another one (``data/x/``), which is not looked for: its keys do not have the
names that restic gives in the outer one (:func:`rwm.layout.is_restic_name`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Generic, Protocol, TypeVar

from rwm.layout import CONFIG_FILE, OWN_PREFIX, REPOSITORY_DIRECTORIES, is_own_key
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.names import parent_directories
from rwm.s3.listing.ahead import begin_listings
from rwm.s3.listing.check import keys_of, without_own_keys
from rwm.s3.listing.discovery import Directory, check_location, discover
from rwm.s3.listing.interface import Lister
from rwm.s3.listing.parallel import list_in_parallel
from rwm.s3.listing.queue import merge_in_threads

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_FIRST = ("snapshots", "index")
_LAST = "data"
_INNER_OWN = "/" + OWN_PREFIX  # has state files, but is not RWM's as a whole
_MAX_DIRECTORIES = 10_000  # in one directory; with more, they are listed together
_CONNECTIONS = 8  # for many small directories: a machine can make any number below its prefix

Batches = Iterable[Sequence[ObjectVersion]]


class ReadPart(Protocol[T_co]):
    """Reads the batches of a part of the listing. Called in several threads."""

    def __call__(self, batches: Batches, *, repository: str | None) -> Iterator[T_co]:
        """``repository``: the prefix of the one in whose safe order the keys are listed; None: they are of none."""


def list_in_phases(
    s3: Lister,
    location: Location,
    read: ReadPart[T],
    *,
    concurrency: int | None = None,
    discovery_limit: int | None = None,
) -> Iterator[Iterator[T]]:
    """Apply ``read`` to each part of a location: snapshots, indexes, the rest and packs of all repositories.

    The location itself counts as a repository, by the names in it. All entries of a key are in one part, consecutive,
    newest first; a part must be read to its end before the next. RWM's own objects are left out. Memory is constant.
    Each ``data/`` is listed by ``concurrency`` connections (None: measure which number is fastest).
    ``discovery_limit`` is that of :func:`discover`.

    Raises NotFound for a prefix below which nothing is, UsageError for a directory in a repository.
    """

    def read_part(batches: Batches, *, repository: str | None) -> Iterator[T]:
        return read(without_own_keys(batches), repository=repository)

    top = _Level(s3, location.bucket, location.prefix)
    yield read_part(top.keys(), repository=location.prefix)
    top.finish()
    check_location(s3, location, top.directory())
    phases = _Phases(s3, location, read_part, top, discovery_limit)
    for name in _FIRST:
        yield from phases.list_everywhere(name)
    yield from phases.list_rest()
    yield from phases.list_packs(concurrency)


class _Level:
    """One directory: reads its keys, and collects the directories in it, up to a number."""

    def __init__(self, s3: Lister, bucket: str, prefix: str) -> None:
        self.prefix = prefix
        self.directories: set[str] = set()
        self.has_more = False
        """Whether there are more directories than the number."""
        self._has_config = False
        self._is_empty = True
        self._keys = self._read(s3, bucket)

    def _read(self, s3: Lister, bucket: str) -> Iterator[Sequence[ObjectVersion]]:
        config = self.prefix + CONFIG_FILE
        for level in s3.level(bucket, self.prefix):
            if len(self.directories) < _MAX_DIRECTORIES:
                self.directories.update(level.prefixes)
            else:
                self.has_more = self.has_more or bool(level.prefixes)
            self._is_empty = self._is_empty and not level.versions
            self._has_config = self._has_config or config in keys_of(level.versions)
            yield level.versions

    def keys(self) -> Iterator[Sequence[ObjectVersion]]:
        """The keys directly in the directory."""
        return self._keys

    def finish(self) -> None:
        """Read all directories, even if the caller stopped reading the keys."""
        deque(self._keys, maxlen=0)

    def directory(self) -> Directory:
        """What discovery needs of it, once it is finished."""
        return Directory(self.prefix, self.directories, self._has_config, self._is_empty and not self.directories)


class _Phases(Generic[T]):
    """The parts of a location after the keys directly in it."""

    def __init__(
        self, s3: Lister, location: Location, read: ReadPart[T], top: _Level, discovery_limit: int | None
    ) -> None:
        self._s3 = s3
        self._bucket = location.bucket
        self._read = read
        self._top = top
        found = discover(s3, location, top.directory(), discovery_limit).repositories
        self._roots = {location.prefix, *found}
        """The prefixes of repositories; the location itself counts as one."""
        self._divided = {path for root in found for path in parent_directories(root)}
        """The directories that are or contain a repository: they are not listed as a whole."""

    def _phase_directories(self, name: str) -> Iterator[tuple[str, str]]:
        """The repositories that may have a directory of that name, and its path."""
        for root in sorted(self._roots):
            path = f"{root}{name}/"
            exists = root != self._top.prefix or self._top.has_more or path in self._top.directories
            if exists and path not in self._divided:
                yield root, path

    def list_everywhere(self, name: str) -> Iterator[Iterator[T]]:
        """The directory of that name of each repository."""
        yield _in_threads([partial(self._list, path, root) for root, path in self._phase_directories(name)])

    def list_packs(self, concurrency: int | None) -> Iterator[Iterator[T]]:
        """``data/`` of each repository: a large one by several connections, several small ones at once."""
        roots = {path: root for root, path in self._phase_directories(_LAST)}
        begun = begin_listings(self._s3, self._bucket, roots) if len(roots) > 1 else repeat(None)
        for (path, root), listing in zip(roots.items(), begun, strict=False):
            read = partial(self._read, repository=root)
            if listing is not None and listing.rest is None:
                yield read([listing.first])
            else:
                yield list_in_parallel(self._s3, self._bucket, path, read, concurrency)

    def list_rest(self) -> Iterator[Iterator[T]]:
        """Everything that is in no other phase, directory by directory, several at once."""
        levels, below = [self._top], list[str]()
        while levels:
            for level in levels:
                yield from self._list_rest_of(level, below)
            levels = [_Level(self._s3, self._bucket, path) for path in below[-_CONNECTIONS:]]
            del below[-_CONNECTIONS:]
            yield _in_threads([partial(self._read_level, level) for level in levels])

    def _list_rest_of(self, level: _Level, below: list[str]) -> Iterator[Iterator[T]]:
        """What is in the directories of a level; those that are divided are only added to ``below``."""
        inner = self._repository_directories(level.prefix)
        later = {f"{level.prefix}{name}/" for name in (*_FIRST, _LAST)} & inner
        directories = inner | self._divided_in(level.prefix) if level.has_more else level.directories
        tasks = []
        for path in sorted(directories - later):
            if path in self._divided or path.endswith(_INNER_OWN):
                below.append(path)
            elif not is_own_key(path):
                tasks.append(partial(self._list, path, level.prefix if path in inner else None))
        yield _in_threads(tasks)
        if level.has_more:
            batches = self._s3.version_batches(self._bucket, level.prefix)
            yield self._read(_outside(batches, level.prefix, directories | later), repository=None)

    def _read_level(self, level: _Level) -> Iterator[T]:
        yield from self._read(level.keys(), repository=level.prefix if level.prefix in self._roots else None)
        level.finish()

    def _repository_directories(self, root: str) -> set[str]:
        """The directories of a repository itself; none if that directory is no repository."""
        names = REPOSITORY_DIRECTORIES if root in self._roots else ()
        return {f"{root}{name}/" for name in names} - self._divided

    def _divided_in(self, directory: str) -> set[str]:
        start = len(directory)
        return {path for path in self._divided if path.startswith(directory) and path.find("/", start) == len(path) - 1}

    def _list(self, path: str, repository: str | None) -> Iterator[T]:
        return self._read(self._s3.version_batches(self._bucket, path), repository=repository)


def _in_threads(tasks: Sequence[Callable[[], Iterator[T]]]) -> Iterator[T]:
    """The items of all tasks; those of one task in their order."""
    return tasks[0]() if len(tasks) == 1 else merge_in_threads(tasks, min(_CONNECTIONS, len(tasks)))


def _outside(batches: Batches, prefix: str, directories: Collection[str]) -> Iterator[Sequence[ObjectVersion]]:
    """The entries in other directories below the prefix than these, without the keys directly in it."""
    for batch in batches:
        children = (key[: key.find("/", len(prefix)) + 1] for key in keys_of(batch))
        yield [entry for entry, child in zip(batch, children, strict=True) if child and child not in directories]
