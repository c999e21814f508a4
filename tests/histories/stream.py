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


def stream(versions: int, seed: int = 1) -> Iterator[ObjectVersion]:
    """Exactly so many entries (at least 10,000) of one honest repository in listing order, in constant memory.

    A backup each hour; each fiftieth is followed by a prune, which removes all older snapshots but the last, all
    indexes, and packs: in the end a half of all packs.
    """
    rng = random.Random(seed)
    prunes = max(1, versions // _VERSIONS_PER_BACKUP // _BACKUPS_PER_PRUNE)
    backups = prunes * _BACKUPS_PER_PRUNE

    def version(key: str, size: int, at: int, deleted_at: int | None = None) -> Iterator[ObjectVersion]:
        if deleted_at is not None:
            yield ObjectVersion(key, f"{rng.getrandbits(124):031x}", True, True, 0, "", deleted_at)
        etag = f"{rng.getrandbits(128):032x}"
        yield ObjectVersion(key, f"{rng.getrandbits(124):031x}", deleted_at is None, False, size, etag, at)

    def in_any_order(directory: str, count: int) -> Iterator[tuple[str, int]]:
        """Sorted keys with the numbers below ``count`` in an order without a pattern."""
        factor = next(n for n in range(count * 5 // 8 + 1, count * 2 + 2) if gcd(n, count) == 1)
        for place, name in enumerate(_sorted_names(rng, count)):
            yield directory + name, place * factor % count

    # Per prune: an index and a lock more than there are backups.
    fixed = 2 + 2 * (2 * backups + 2 * prunes) - 1 + (2 * backups - 1)
    left = versions - fixed  # of packs
    removed_packs = left // 3
    packs = left - removed_packs
    yield from version("config", CONFIG_SIZE, _START - SECOND)
    for place, name in enumerate(_sorted_names(rng, packs)):
        backup = rng.randrange(backups)
        at = _backup_start(backup) + rng.randrange(SECOND, 10 * MINUTE)
        is_removed = place * removed_packs // packs != (place + 1) * removed_packs // packs
        deleted_at = None
        if is_removed:
            prune = rng.randrange(backup // _BACKUPS_PER_PRUNE, prunes)
            deleted_at = _prune_start(prune) + rng.randrange(40, 60) * SECOND
        yield from version(f"data/{name[:2]}/{name}", 290 + rng.randrange(32 << 20), at, deleted_at)
    for key, number in in_any_order("index/", backups + prunes):
        if number < backups:
            at, end = _backup_start(number) + 11 * MINUTE, number // _BACKUPS_PER_PRUNE
        else:
            at, end = _prune_start(number - backups) + 20 * SECOND, number - backups + 1
        deleted_at = _prune_start(end) + rng.randrange(25, 35) * SECOND if end < prunes else None
        yield from version(key, 200 + rng.randrange(100_000), at, deleted_at)
    yield from version("keys/" + f"{rng.getrandbits(256):064x}", 440, _START - 2 * SECOND)
    for key, number in in_any_order("locks/", backups + prunes):
        start, duration = (
            (_backup_start(number), 12 * MINUTE) if number < backups else (_prune_start(number - backups), 2 * MINUTE)
        )
        yield from version(key, 135, start, start + duration)
    for key, number in in_any_order("snapshots/", backups):
        end = (number + 1) // _BACKUPS_PER_PRUNE
        deleted_at = _prune_start(end) + rng.randrange(5, 15) * SECOND if end < prunes else None
        yield from version(key, 194 + rng.randrange(600), _backup_start(number) + 11 * MINUTE + SECOND, deleted_at)


def _backup_start(number: int) -> int:
    return _START + number * _HOUR


def _prune_start(number: int) -> int:
    return _backup_start((number + 1) * _BACKUPS_PER_PRUNE - 1) + 30 * MINUTE


def _sorted_names(rng: random.Random, count: int) -> Iterator[str]:
    """So many names in order, each in its own part of all names."""
    part = (1 << 256) // count
    for place in range(count):
        yield f"{place * part + rng.randrange(part):064x}"
