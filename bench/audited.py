"""An audit in a process of its own: ``python -m bench.audited BUCKET VERSIONS`` prints what it took as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice

from bench import processes
from rwm.model import ObjectVersion
from rwm.times import DAY, SECOND
from rwm.trust.finding import FindingLog
from rwm.trust.key_grouping import group_keys
from rwm.trust.repository_audit import PHASES, RepositoryAudit
from tests.histories.stream import stream_directory

START = 1_767_225_600_000  # 2026-01-01
NOW = START + 40 * 365 * DAY
HONEST_PART = 10_000
"""Versions of an honest repository beside those of an attacker."""

PAGE = 1000

JUNK = "repositories"
_JUNK_FILES = {"": "config", "keys/": "keys/x", "data/": "data/00/y"}


def _honest(phase: str, versions: int) -> Iterator[ObjectVersion]:
    return stream_directory(versions, phase)


def _overwritten_packs(phase: str, versions: int) -> Iterator[ObjectVersion]:
    yield from _honest(phase, HONEST_PART)
    if phase == "data/":
        for number in range(versions // 2):
            key = _name("data/ff/", number)
            yield _version(key, number, START + number * SECOND, 2000)
            yield _version(key, versions + number, START, 1000)


def _locks(phase: str, versions: int) -> Iterator[ObjectVersion]:
    yield from _honest(phase, HONEST_PART)
    if phase == "locks/":
        for number in range(versions // 2):
            key, at = _name(phase, number), START + number * 60 * SECOND
            yield _version(key, number, at + 30 * SECOND, 0, is_marker=True)
            yield _version(key, number, at, 135)


def _foreign_names(phase: str, versions: int) -> Iterator[ObjectVersion]:
    yield from _honest(phase, HONEST_PART)
    if phase == "data/":
        for number in range(versions):
            yield _version(f"data/junk{number:09}", number, START + number * SECOND, 1000)


def _written(directory: str, phase: str, versions: int) -> Iterator[ObjectVersion]:
    """Files under names that restic may give."""
    yield from _honest(phase, HONEST_PART)
    if directory.startswith(phase) and phase:
        for number in range(versions):
            yield _version(_name(directory, number), number, START + number * SECOND, 300)


def _removed(directory: str, phase: str, versions: int) -> Iterator[ObjectVersion]:
    """Files that were written, and removed without a lock."""
    yield from _honest(phase, HONEST_PART)
    if directory.startswith(phase) and phase:
        for number in range(versions // 2):
            key = _name(directory, number)
            yield _version(key, number, START + DAY + number * SECOND, 0, is_marker=True)
            yield _version(key, number, START + number * SECOND, 300)


def _markers(phase: str, versions: int) -> Iterator[ObjectVersion]:
    """A delete marker alone on each key."""
    yield from _honest(phase, HONEST_PART)
    if phase == "data/":
        for number in range(versions):
            yield _version(_name("data/ff/", number), number, START + number * SECOND, 0, is_marker=True)


def _one_key(phase: str, versions: int) -> Iterator[ObjectVersion]:
    """A version and a marker in turn."""
    yield from _honest(phase, HONEST_PART)
    if phase == "data/":
        key = _name("data/ff/", 0)
        for number in range(versions, 0, -1):
            yield _version(key, number, START + number * SECOND, 1000, is_marker=number % 2 == 0)


BUCKETS: dict[str, tuple[str, Callable[[str, int], Iterator[ObjectVersion]]]] = {
    "honest": ("honest", _honest),
    "overwritten": ("all packs overwritten", _overwritten_packs),
    "locks": ("locks", _locks),
    "foreign": ("foreign names", _foreign_names),
    "key": ("versions and markers of one key", _one_key),
    "markers": ("delete markers of absent packs", _markers),
    "packs": ("packs", partial(_written, "data/ff/")),
    "removed packs": ("packs, removed without a lock", partial(_removed, "data/ff/")),
    "snapshots": ("snapshots", partial(_written, "snapshots/")),
    "removed snapshots": ("snapshots, removed without a lock", partial(_removed, "snapshots/")),
    "index": ("indexes", partial(_written, "index/")),
    "removed index": ("indexes, removed without a lock", partial(_removed, "index/")),
    "keys": ("key files", partial(_written, "keys/")),
    "removed keys": ("key files, removed without a lock", partial(_removed, "keys/")),
    "repositories": ("junk repositories of three files", _honest),
}
"""Listings by name: what most of their versions are, and the entries of a phase."""


def _name(directory: str, number: int) -> str:
    return f"{directory}ff{number:062x}"


def _version(key: str, number: int, at: int, size: int, *, is_marker: bool = False) -> ObjectVersion:
    etag = "" if is_marker else f"{number:032x}"
    return ObjectVersion(key, f"{number:031x}{int(is_marker)}", False, is_marker, 0 if is_marker else size, etag, at)


def _pages(entries: Iterator[ObjectVersion]) -> Iterator[list[ObjectVersion]]:
    while page := list(islice(entries, PAGE)):
        yield page


Listing = Callable[[str], Iterator[ObjectVersion]]
"""The entries of a phase."""


def listings(name: str, versions: int) -> Iterator[tuple[str, Listing]]:
    """The root of each repository, and what it has."""
    _, made = BUCKETS[name]
    if name != JUNK:
        yield "", lambda phase: made(phase, versions)
        return
    for number in range(versions // len(_JUNK_FILES)):
        yield f"{number:06}/", partial(_junk, f"{number:06}/", START + number * SECOND)


def _junk(root: str, at: int, phase: str) -> Iterator[ObjectVersion]:
    name = _JUNK_FILES.get(phase)
    return iter([_version(root + name, 1, at, 100)] if name else [])


def main(name: str, versions: int) -> None:
    """Group the listing by key, then audit it; print seconds of CPU of each and the peak of the memory."""
    begun = time.process_time()
    for _, listing in listings(name, versions):
        for phase in PHASES:
            deque(group_keys(_pages(listing(phase))), maxlen=0)
    grouped = time.process_time()
    audits = []
    for root, listing in listings(name, versions):
        audit = RepositoryAudit(root, FindingLog(), NOW)
        for phase in PHASES:
            audit.observe(chain.from_iterable(group_keys(_pages(listing(phase)))))
        audit.finish()
        audits.append(audit)
    audited = time.process_time()
    codes = Counter[str]()
    for audit in audits:
        codes.update(audit.log.counts)
    used = {"grouped": grouped - begun, "audited": audited - grouped, "findings": codes.total()}
    print(json.dumps({"peak": processes.memory()[1], "codes": codes, **used}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
