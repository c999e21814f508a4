"""The invariants of honest histories, checked in the plainest way: quadratic, no code under test."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from rwm.model import ObjectVersion
from tests.histories.restic import Repository

_FOREVER = 1 << 62
_NAME = re.compile(r"(config|(keys|index|snapshots|locks)/[0-9a-f]{64}|data/([0-9a-f]{2})/\3[0-9a-f]{62})", re.ASCII)


Check = Callable[[bool, str, str], None]
"""Note a violation (rule, key) unless the first argument is true."""


class Violation(NamedTuple):
    """A rule that a key breaks."""

    rule: str
    key: str


class Span(NamedTuple):
    """A time in which a key is there: from a put to the next marker."""

    start: int
    end: int

    def covers(self, time: int, tolerance: int = 0) -> bool:
        return self.start - tolerance <= time <= self.end + tolerance


class Listing:
    """The entries below a repository's prefix, by key and kind, oldest first."""

    def __init__(self, versions: Iterable[ObjectVersion], prefix: str) -> None:
        self.histories: dict[str, list[ObjectVersion]] = defaultdict(list)
        for version in versions:
            name = version.key.removeprefix(prefix)
            if version.key.startswith(prefix) and re.match("(data|index|keys|locks|snapshots)/|config$", name):
                self.histories[name].insert(0, version)

    def of(self, kind: str) -> dict[str, list[ObjectVersion]]:
        return {name: entries for name, entries in self.histories.items() if name.startswith(kind + "/")}

    def spans(self, kind: str) -> dict[str, list[Span]]:
        return {name: spans_of(entries) for name, entries in self.of(kind).items()}

    def markers(self, kind: str) -> list[ObjectVersion]:
        return [version for entries in self.of(kind).values() for version in entries if version.is_marker]


def spans_of(entries: Sequence[ObjectVersion]) -> list[Span]:
    """When a key was there."""
    spans, start = [], None
    for entry in entries:
        if entry.is_marker and start is not None:
            spans.append(Span(start, entry.last_modified))
            start = None
        elif not entry.is_marker and start is None:
            start = entry.last_modified
    return [*spans, Span(start, _FOREVER)] if start is not None else spans


def violations(
    versions: Iterable[ObjectVersion],
    repository: Repository,
    *,
    tolerance: int = 0,
    grace: int = 0,
    contents: bool = True,
) -> list[Violation]:
    """All violations, but for quiet moments. ``tolerance`` is for the order of times, in milliseconds.

    ``grace``: how long after its writing a lock counts although it was removed. ``contents``: use which packs an index
    names. A listing does not tell; without it the rule about packs is left out.
    """
    prefix = repository.prefix
    listing = Listing(versions, prefix)
    locks = [span for spans in listing.spans("locks").values() for span in spans]
    found: list[Violation] = []

    def check(ok: bool, rule: str, key: str) -> None:
        if not ok:
            found.append(Violation(rule, key))

    def is_locked(time: int) -> bool:
        return any(lock.start - tolerance <= time <= max(lock.end, lock.start + grace) + tolerance for lock in locks)

    for kind in ("data", "index", "keys", "snapshots"):
        for marker in listing.markers(kind):
            check(not repository.uses_locks or is_locked(marker.last_modified), "removal without a lock", marker.key)
    _check_indexes(listing, check, tolerance)
    if contents:
        _check_packs(listing, repository.packs_of, prefix, check, tolerance)
    keys = listing.spans("keys")
    for marker in listing.markers("keys"):
        others = (span for name, spans in keys.items() if prefix + name != marker.key for span in spans)
        check(any(span.covers(marker.last_modified, tolerance) for span in others), "last key removed", marker.key)
    for name, entries in listing.histories.items():
        key = prefix + name
        check(_NAME.fullmatch(name) is not None, "foreign name", key)
        check(all(entry.version_id != "null" for entry in entries), "null version", key)
        written = [entry for entry in entries if not entry.is_marker]
        if name == "config":
            check(len(written) == len(entries), "config removed", key)
            if repository.uses_locks:
                plain = [entry for entry in written if "-" not in entry.etag]
                check(len({entry.etag for entry in plain}) <= 2, "config written again", key)
                new = [entry for before, entry in pairwise(plain) if entry.etag != before.etag]
                check(all(is_locked(entry.last_modified) for entry in new), "config written without a lock", key)
                check({entry.size for entry in written} <= {155}, "size of config", key)
            check(all(entry.size >= 155 for entry in written), "config cut", key)
        else:
            check(all(_may_be_equal(entry, written[0]) for entry in written), "another content", key)
    return found


def _check_indexes(listing: Listing, check: Check, tolerance: int) -> None:
    """An index goes after a newer one came, unless no snapshot is left."""
    indexes = listing.spans("index")
    snapshots = [span for spans in listing.spans("snapshots").values() for span in spans]
    for marker in listing.markers("index"):
        time = marker.last_modified
        own = listing.histories["index/" + marker.key.rpartition("/")[2]]
        newer = (s for name, spans in indexes.items() if not marker.key.endswith(name) for s in spans)
        has_newer = any(own[0].last_modified - tolerance <= s.start <= time + tolerance and s.end > time for s in newer)
        is_empty = not any(span.start < time - tolerance and time + tolerance < span.end for span in snapshots)
        check(has_newer or is_empty, "index removed without a successor", marker.key)


def _check_packs(
    listing: Listing, packs_of: Mapping[str, Sequence[str]], prefix: str, check: Check, tolerance: int
) -> None:
    """A pack goes after the indexes that name it."""
    naming: dict[str, list[Span]] = defaultdict(list)
    for name, spans in listing.spans("index").items():
        for pack in packs_of.get(prefix + name, ()):
            naming[pack] += spans
    for marker in listing.markers("data"):
        time = marker.last_modified
        named = any(s.start + tolerance < time < s.end - tolerance for s in naming[marker.key])
        check(not named, "pack removed before its index", marker.key)


def _may_be_equal(one: ObjectVersion, other: ObjectVersion) -> bool:
    """Whether two versions can have the same content: ETags of multipart uploads say nothing."""
    return one.size == other.size and (one.etag == other.etag or "-" in one.etag + other.etag)


def quiet_times(versions: Iterable[ObjectVersion], repository: Repository) -> list[int]:
    """A time within each quiet period between two locks, where one is at least 100 ms long."""
    listing = Listing(versions, repository.prefix)
    spans = sorted(span for spans in listing.spans("locks").values() for span in spans)
    times, end = [], 0
    for span in spans:
        if end and span.start > end + 100:
            times.append((span.start + end) // 2)
        end = max(end, span.end)
    return times


def missing_at(versions: Iterable[ObjectVersion], repository: Repository, time: int) -> list[str]:
    """What a whole repository would have at this time and this one has not: packs of snapshots, or their indexes."""
    listing = Listing(versions, repository.prefix)

    def present(kind: str) -> set[str]:
        return {
            repository.prefix + name
            for name, spans in listing.spans(kind).items()
            if any(span.start <= time < span.end for span in spans)
        }

    packs = present("data")
    named = {pack for index in present("index") for pack in repository.packs_of[index]}
    return [
        pack
        for snapshot in present("snapshots")
        for pack in repository.used_by[snapshot]
        if not any(place in packs and place in named for place in repository.places(pack))
    ]
