"""A few files of a state that a prune relies on, read before anything is deleted."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from rwm.errors import AccessDenied, RwmError, Unreachable
from rwm.model import Entry
from rwm.restic import find_fault
from rwm.s3 import S3
from rwm.trust import CONTENT_ADDRESSED, Kind

THREADS = 4

_SAMPLED = CONTENT_ADDRESSED | {Kind.CONFIG}


class FileSample:
    """Chooses one file of each kind at random: ``config``, a key file, an index, a snapshot and a pack. Pure."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()  # an attacker must not know which files are read
        self._chosen: dict[Kind, Entry] = {}
        self._counts: dict[Kind, int] = {}

    def add(self, kind: Kind, entry: Entry) -> None:
        """Add a candidate."""
        if kind not in _SAMPLED:
            return
        self._counts[kind] = count = self._counts.get(kind, 0) + 1
        if self._random.randrange(count) == 0:
            self._chosen[kind] = entry

    def entries(self) -> list[Entry]:
        """The chosen files."""
        return list(self._chosen.values())


class Fault(NamedTuple):
    """Why a file is unreadable or wrong. ``is_denied``: this account may not read it."""

    text: str
    is_denied: bool = False


def read_sample(s3: S3, bucket: str, entries: Iterable[Entry]) -> dict[Entry, Fault]:
    """Read files; of each one that is unreadable or wrong, why. Raises Unreachable if the server does not answer."""
    wanted = list(dict.fromkeys(entries))
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda entry: _find_fault(s3, bucket, entry), wanted)
        return {entry: fault for entry, fault in zip(wanted, found, strict=True) if fault is not None}


def _find_fault(s3: S3, bucket: str, entry: Entry) -> Fault | None:
    denied = False
    try:
        fault = s3.retry(lambda: _read(s3, bucket, entry), f"GetObject {bucket}/{entry.key}")
    except Unreachable:
        raise
    except RwmError as error:
        denied = isinstance(error, AccessDenied)
        fault = error.why
    text = f"{entry.key} of the state that this relies on cannot be used: {fault}"
    return None if fault is None else Fault(text, denied)


def _read(s3: S3, bucket: str, entry: Entry) -> str | None:
    size, digest = 0, hashlib.sha256()
    for chunk in s3.stream(bucket, entry.key, entry.version_id):
        size += len(chunk)
        if size > entry.size:
            break
        digest.update(chunk)
    return find_fault(entry.key, entry.size, size, digest.hexdigest())
