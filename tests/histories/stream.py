"""The listing of a large honest bucket, in constant memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import gcd

from rwm.model import ObjectVersion
from rwm.times import SECOND
from tests.histories.restic import CONFIG_SIZE, MINUTE

_HOUR = 60 * MINUTE
_START = 1_767_225_600_000  # 2026-01-01
_BACKUPS_PER_PRUNE = 50
_VERSIONS_PER_BACKUP = 100


DIRECTORIES = ("", "data/", "index/", "keys/", "locks/", "snapshots/")
"""Of a repository, as they are listed; the empty one is its root, with ``config``."""


def stream(versions: int, seed: int = 1) -> Iterator[ObjectVersion]:
    """Exactly so many entries (at least 10,000) of one honest repository in listing order, in constant memory.

    A backup each hour; each fiftieth is followed by a prune, which removes all older snapshots but the last, all
    indexes, and packs: in the end a half of all packs.
    """
    for directory in DIRECTORIES:
        yield from stream_directory(versions, directory, seed)


def stream_directory(versions: int, directory: str, seed: int = 1) -> Iterator[ObjectVersion]:
    """The entries of one of :data:`DIRECTORIES` in the stream of so many versions."""
    return _Stream(versions, f"{seed} {directory}").entries(directory)


class _Stream:
    def __init__(self, versions: int, seed: str) -> None:
        self._rng = random.Random(seed)
        self._prunes = max(1, versions // _VERSIONS_PER_BACKUP // _BACKUPS_PER_PRUNE)
        self._backups = self._prunes * _BACKUPS_PER_PRUNE
        # Per prune: an index and a lock more than there are backups.
        fixed = 2 + 2 * (2 * self._backups + 2 * self._prunes) - 1 + (2 * self._backups - 1)
        left = versions - fixed  # of packs
        self._removed_packs = left // 3
        self._packs = left - self._removed_packs

    def entries(self, directory: str) -> Iterator[ObjectVersion]:
        """The entries of a directory, in listing order."""
        if not directory:
            return self._version("config", CONFIG_SIZE, _START - SECOND)
        if directory == "keys/":
            return self._version("keys/" + f"{self._rng.getrandbits(256):064x}", 440, _START - 2 * SECOND)
        made = {"data/": self._data, "index/": self._index, "locks/": self._locks, "snapshots/": self._snapshots}
        return made[directory]()

    def _data(self) -> Iterator[ObjectVersion]:
        rng, packs, removed = self._rng, self._packs, self._removed_packs
        for place, name in enumerate(_sorted_names(rng, packs)):
            backup = rng.randrange(self._backups)
            at = _backup_start(backup) + rng.randrange(SECOND, 10 * MINUTE)
            deleted_at = None
            if place * removed // packs != (place + 1) * removed // packs:
                prune = rng.randrange(backup // _BACKUPS_PER_PRUNE, self._prunes)
                deleted_at = _prune_start(prune) + rng.randrange(40, 60) * SECOND
            yield from self._version(f"data/{name[:2]}/{name}", 290 + rng.randrange(32 << 20), at, deleted_at)

    def _index(self) -> Iterator[ObjectVersion]:
        for key, number in self._in_any_order("index/", self._backups + self._prunes):
            if number < self._backups:
                at, end = _backup_start(number) + 11 * MINUTE, number // _BACKUPS_PER_PRUNE
            else:
                at, end = _prune_start(number - self._backups) + 20 * SECOND, number - self._backups + 1
            deleted_at = _prune_start(end) + self._rng.randrange(25, 35) * SECOND if end < self._prunes else None
            yield from self._version(key, 200 + self._rng.randrange(100_000), at, deleted_at)

    def _locks(self) -> Iterator[ObjectVersion]:
        for key, number in self._in_any_order("locks/", self._backups + self._prunes):
            if number < self._backups:
                start, duration = _backup_start(number), 12 * MINUTE
            else:
                start, duration = _prune_start(number - self._backups), 2 * MINUTE
            yield from self._version(key, 135, start, start + duration)

    def _snapshots(self) -> Iterator[ObjectVersion]:
        for key, number in self._in_any_order("snapshots/", self._backups):
            end = (number + 1) // _BACKUPS_PER_PRUNE
            deleted_at = _prune_start(end) + self._rng.randrange(5, 15) * SECOND if end < self._prunes else None
            at = _backup_start(number) + 11 * MINUTE + SECOND
            yield from self._version(key, 194 + self._rng.randrange(600), at, deleted_at)

    def _version(self, key: str, size: int, at: int, deleted_at: int | None = None) -> Iterator[ObjectVersion]:
        if deleted_at is not None:
            yield ObjectVersion(key, f"{self._rng.getrandbits(124):031x}", True, True, 0, "", deleted_at)
        etag = f"{self._rng.getrandbits(128):032x}"
        yield ObjectVersion(key, f"{self._rng.getrandbits(124):031x}", deleted_at is None, False, size, etag, at)

    def _in_any_order(self, directory: str, count: int) -> Iterator[tuple[str, int]]:
        """Sorted keys with the numbers below ``count`` in an order without a pattern."""
        factor = next(n for n in range(count * 5 // 8 + 1, count * 2 + 2) if gcd(n, count) == 1)
        for place, name in enumerate(_sorted_names(self._rng, count)):
            yield directory + name, place * factor % count


def _backup_start(number: int) -> int:
    return _START + number * _HOUR


def _prune_start(number: int) -> int:
    return _backup_start((number + 1) * _BACKUPS_PER_PRUNE - 1) + 30 * MINUTE


def _sorted_names(rng: random.Random, count: int) -> Iterator[str]:
    """So many names in order, each in its own part of all names."""
    part = (1 << 256) // count
    for place in range(count):
        yield f"{place * part + rng.randrange(part):064x}"
