"""A simulated restic repository: a first state, and the changes of each day. Repeatable from a seed.

The layout is that of restic: packs in ``data/00/`` to ``data/ff/``, index files, snapshots, a key, ``config``. An
object is a number from which all its fields are derived, so that a million objects need little memory.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from base64 import b64encode
from collections.abc import Iterator

from rwm.model import Change, Entry, StateInfo
from rwm.times import DAY

CHURN = 0.003
"""The part of the objects replaced each day."""

SNAPSHOTS = 30
"""The number of snapshots: each day adds one and removes the oldest."""

PACKS_PER_INDEX = 2500

BUCKET = "bucket1"
START = 1_735_700_400_000  # 2025-01-01T03:00:00Z
_FIRST_BACKUP = DAY // 2
_DAILY_BACKUP = DAY // 24


class SimulatedRepository:
    """A bucket with ``objects`` objects that changes from day to day.

    ``info`` is the current state, with an id derived from the day: the true one would need a pass over all entries.
    """

    def __init__(self, objects: int, churn: float = CHURN, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._day = 0
        self._churn = max(3, round(objects * churn))
        self._born = array("L")
        """The number of the first object of each day, day 0 first."""
        indexes = max(2, objects // PACKS_PER_INDEX)
        other_files = {"config": 1, "keys/": 1, "snapshots/": SNAPSHOTS, "index/": indexes}
        if objects < sum(other_files.values()) + self._churn:
            raise ValueError(f"{objects} objects are too few for a repository")
        self._kinds: dict[int, str] = {}
        """Prefix by number, for all objects that are not packs."""
        self._next = 0
        self._born.append(0)
        for prefix, number in other_files.items():
            self._add(prefix, number)
        self._packs = array("L", self._numbers(objects - self._next))
        self.info = self._info(objects, sum(entry.size for entry in map(self.entry, range(self._next))))

    def entries(self) -> Iterator[Entry]:
        """The entries of the current state, sorted by key."""
        numbers = [*self._kinds, *self._packs]
        numbers.sort(key=self._key)
        return map(self.entry, numbers)

    def next_day(self) -> list[Change]:
        """Advance by a day. Returns its changes, sorted by key; as many objects are added as removed."""
        self._day += 1
        self._born.append(self._next)
        removed_numbers = [self._oldest("snapshots/"), self._oldest("index/")]
        removed = [Change(entry.key, None) for entry in map(self.entry, removed_numbers)]
        removed_bytes = sum(self.entry(number).size for number in removed_numbers)
        for number in removed_numbers:
            del self._kinds[number]
        added_numbers = [*self._add("snapshots/", 1), *self._add("index/", 1)]
        for at in self._random.sample(range(len(self._packs)), self._churn - 2):
            old = self.entry(self._packs[at])
            removed.append(Change(old.key, None))
            removed_bytes += old.size
            (self._packs[at],) = new = self._numbers(1)
            added_numbers.extend(new)
        added = [self.entry(number) for number in added_numbers]
        size = self.info.bytes - removed_bytes + sum(entry.size for entry in added)
        self.info = self._info(self.info.objects, size)
        return sorted([*removed, *(Change(entry.key, entry) for entry in added)], key=lambda change: change.key)

    def entry(self, number: int) -> Entry:
        """The entry of an object number."""
        digest = self._digest(number)
        prefix = self._kinds.get(number)
        name = digest[:32].hex()
        if prefix is None:
            key, size = f"data/{name[:2]}/{name}", (16 << 20) + int.from_bytes(digest[72:75], "big") // 8
        else:
            key = prefix if prefix == "config" else prefix + name
            size = {"index/": 400_000, "snapshots/": 300}.get(prefix, 155) + digest[72]
        version = b64encode(digest[32:56], b"-_").decode()[:31]
        return Entry(key, version, size, digest[56:72].hex(), self._written(number, digest))

    def _written(self, number: int, digest: bytes) -> int:
        """The upload time: the first backup takes half a day, the others an hour."""
        day = next(day for day in range(self._day, -1, -1) if self._born[day] <= number)
        span = _DAILY_BACKUP if day else _FIRST_BACKUP
        return START + day * DAY - int.from_bytes(digest[75:79], "big") % span

    def _key(self, number: int) -> str:
        """The key of an object number, as in :meth:`entry`."""
        prefix = self._kinds.get(number)
        name = self._digest(number)[:32].hex()
        if prefix is None:
            return f"data/{name[:2]}/{name}"
        return prefix if prefix == "config" else prefix + name

    def _digest(self, number: int) -> bytes:
        return hashlib.shake_128(b"%d/%d" % (self._seed, number)).digest(80)

    def _numbers(self, count: int) -> range:
        self._next += count
        return range(self._next - count, self._next)

    def _add(self, prefix: str, count: int) -> range:
        numbers = self._numbers(count)
        self._kinds.update(dict.fromkeys(numbers, prefix))
        return numbers

    def _oldest(self, prefix: str) -> int:
        return next(number for number, kind in self._kinds.items() if kind == prefix)

    def _info(self, objects: int, size: int) -> StateInfo:
        number = hashlib.sha256(b"%d day %d" % (self._seed, self._day)).hexdigest()
        return StateInfo(number, BUCKET, START + self._day * DAY, "backup", objects, size, "ok")
