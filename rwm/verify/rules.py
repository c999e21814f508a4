"""Which versions of a state have to be read to prove its content. Pure.

What was read before is not read again, because an object version never changes. Snapshots, index files and keys are
always read; of the packs all, or a random sample.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from rwm.errors import UsageError
from rwm.index import ListedVersion
from rwm.layout import CONFIG_FILE
from rwm.model import ARCHIVE_CLASSES, Entry
from rwm.restic import expected_sha256, is_pack

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%?", re.ASCII)
_HASHES = 1 << 64

MAX_CONFIG = 1 << 20
"""Bytes of the largest `config` that is read; restic's has some hundred."""


class Action(Enum):
    """What a verification of content does with a version that was listed."""

    SKIP = auto()
    """It is not the version of the state: the comparison with the listing has reported it."""
    PROVED = auto()
    """Its content was read and is right."""
    WRONG = auto()
    """Its content was read and is wrong."""
    ARCHIVED = auto()
    """It must be retrieved from the archive first."""
    UNPROVABLE = auto()
    """Its name is no hash."""
    READ_CONFIG = auto()
    """Its name is no hash, but restic needs it: it is read to see that it can be read."""
    READ = auto()
    READ_PACK = auto()


READING = frozenset({Action.READ, Action.READ_PACK, Action.READ_CONFIG})


def choose_action(version: ListedVersion, *, again: bool = False) -> Action:
    """What is to be done; ``again``: ignore earlier results."""
    key = version.entry.key
    is_hash = expected_sha256(key) is not None
    if version.fault is not None:
        return Action.SKIP
    if is_hash and version.checked_at is not None and not again:
        return Action.PROVED if version.content_fault is None else Action.WRONG
    is_config = key.rpartition("/")[2] == CONFIG_FILE and version.entry.size <= MAX_CONFIG
    if not is_hash and not is_config:
        return Action.UNPROVABLE
    if version.storage_class in ARCHIVE_CLASSES:
        return Action.ARCHIVED
    if not is_hash:
        return Action.READ_CONFIG
    return Action.READ_PACK if is_pack(key) else Action.READ


def parse_percent(text: str) -> float:
    """``10``, ``2.5`` or ``10%``. Raises UsageError unless it is more than 0 and at most 100."""
    match = _PERCENT.fullmatch(text.strip())
    percent = float(match[1]) if match else 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"{text!r} is not a percentage", hint="write a number over 0 and up to 100, as 10 or 2.5")
    return percent


@dataclass(frozen=True, slots=True)
class Sample:
    """A random selection of packs: those whose keyed hash is at most ``limit``."""

    seed: int
    limit: int

    def __contains__(self, entry: Entry) -> bool:
        return _rank(self.seed, entry) <= self.limit


EVERYTHING = Sample(0, _HASHES)


def draw_sample(seed: int, percent: float, versions: Iterable[ListedVersion], *, again: bool = False) -> Sample:
    """Select about ``percent`` of the bytes of a state's packs, from those that have to be read; at least one of these.

    Packs that are proved already count in the bytes, so ten runs with 10 % prove about everything once.
    """
    total = candidates = 0
    least = _HASHES
    for version in versions:
        if not is_pack(version.entry.key):
            continue
        total += version.entry.size
        if choose_action(version, again=again) is Action.READ_PACK:
            candidates += version.entry.size
            least = min(least, _rank(seed, version.entry))
    part = total * percent / 100 / candidates if candidates else 1.0
    return Sample(seed, max(least, int(min(part, 1.0) * _HASHES)))


def _rank(seed: int, entry: Entry) -> int:
    """A number below 2^64, the same for the same version and seed."""
    text = f"{entry.key}\0{entry.version_id}".encode(errors="surrogatepass")
    digest = hashlib.blake2b(text, digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "big")
