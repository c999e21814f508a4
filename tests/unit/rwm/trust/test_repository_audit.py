"""Files that were written once, and removed once at most, take a short way: it must end where the long one does."""

from __future__ import annotations

import pytest

from rwm.model import ObjectVersion
from rwm.trust.repository_audit import RepositoryAudit
from tests.unit.rwm.trust.auditing import audit_repository

HOUR = 3_600_000


def entry(key: str, hour: int, size: int = 300, *, version_id: str = "", is_marker: bool = False) -> ObjectVersion:
    at = 1000 * HOUR + hour * HOUR
    return ObjectVersion(key, version_id or f"{key}@{hour}", False, is_marker, 0 if is_marker else size, "e", at)


def removed(directory: str, digit: str, written: int, gone: int) -> list[ObjectVersion]:
    key = f"{directory}{digit * 64}"
    return [entry(key, gone, is_marker=True), entry(key, written)]


LISTING = [
    entry("config", 9, 155, version_id="null"),
    *removed("data/aa/", "a", 3, 8),
    *removed("index/", "b", 1, 7),
    *removed("keys/", "c", 2, 5),
    entry(f"locks/{'d' * 64}", 4, 150, is_marker=True),
    entry(f"locks/{'d' * 64}", 2, 150),
    *removed("snapshots/", "e", 4, 6),
    entry(f"snapshots/{'f' * 64}", 5),
]


def told(audit: RepositoryAudit) -> object:
    """All that an audit tells."""
    inventories = (audit.keys, audit.indexes, audit.snapshots)
    return (
        [(item.id, item.start, item.end) for item in audit.log.listed()],
        list(audit.activity.hours()),
        list(audit.activity.totals()),
        [(list(each.written), list(each.removed)) for each in inventories],
    )


def test_the_short_way_tells_what_the_long_one_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    short = audit_repository(LISTING, now=1010 * HOUR)
    monkeypatch.setattr("rwm.trust.repository_audit.is_unremarkable", lambda version: False)
    assert told(short) == told(audit_repository(LISTING, now=1010 * HOUR))
    assert {"unlocked-removal", "versioning-suspended"} <= short.log.counts.keys()


def test_the_oldest_version_with_an_id_may_be_of_a_removed_file() -> None:
    listing = [entry("config", 1, 155, version_id="null"), *removed("index/", "b", 0, 3)]
    assert "versioning-suspended" in audit_repository(listing, now=1010 * HOUR).log.counts
