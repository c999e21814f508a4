"""More locks, indexes and snapshots than are held: a hint."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest

from rwm.model import ObjectVersion
from rwm.times import DAY
from rwm.trust import evidence, intervals, repository_rules
from rwm.trust.verdict import verdict_at
from tests.histories.bucket import Bucket
from tests.histories.restic import MINUTE, Repository
from tests.histories.steps import run
from tests.unit.rwm.trust.auditing import audit_repository


def flooded(directory: str, count: int, remove: Sequence[str] = ()) -> list[ObjectVersion]:
    """An honest repository, then so many files in one of its directories.

    Before them all files of the directories in ``remove`` and a pack are removed, within a lock.
    """
    bucket = Bucket()
    repository = Repository(bucket, "", 1)
    run(bucket, repository.init())
    for _ in range(3):
        bucket.now += DAY
        run(bucket, repository.backup(4))
    if remove:
        bucket.now += DAY
        run(bucket, repository.backup(4, duration=MINUTE))
        bucket.now += DAY
        lock = repository.new_name("locks")
        bucket.put(lock, 135)
        for key in (repository.files("data")[-4], *(key for kind in remove for key in repository.files(kind))):
            bucket.now += 5000
            bucket.delete(key)
        bucket.delete(lock)
    bucket.now += DAY
    for _ in range(count):
        bucket.now += 3_600_000
        key = repository.new_name(directory)
        bucket.put(key, 200)
        bucket.now += 60_000
        bucket.delete(key)
    return bucket.listing()


@pytest.mark.parametrize("directory", ["locks", "keys", "index", "snapshots"])
def test_a_flood_is_a_hint(directory: str) -> None:
    versions = flooded(directory, 60)
    with (
        patch.object(repository_rules, "MAX_CHANGES", 20),
        patch.object(intervals, "MAX_DISJOINT", 20),
        patch.object(evidence, "MAX_DISJOINT", 20),
    ):
        audit = audit_repository(versions)
    found = [finding for finding in audit.log.listed() if finding.rule.code == "flooded"]
    assert [finding.key for finding in found] == [f"{directory}/"]
    assert audit.log.counts["flooded"] == 1
    assert found[0].detail == f"not all {directory} could be judged"


@pytest.mark.parametrize("directory", ["locks", "keys", "index", "snapshots"])
def test_a_flood_hides_nothing_from_before_it(directory: str) -> None:
    """Neither that the states were clean before, nor what was done before."""
    for count in (0, 100):
        versions = flooded(directory, count, remove=("keys", "index"))
        begin = min(version.last_modified for version in versions if version.is_marker and "locks" not in version.key)
        with (
            patch.object(repository_rules, "MAX_CHANGES", 40),
            patch.object(intervals, "MAX_DISJOINT", 40),
            patch.object(evidence, "MAX_DISJOINT", 40),
        ):
            audit = audit_repository(versions)
        assert ("flooded" in audit.log.counts) == (count > 0)
        assert verdict_at(begin - 1000, [audit.log]) == "clean"
        assert {"all-keys-removed", "last-index-removed", "pack-before-index"} <= audit.log.counts.keys()


def test_no_flood_is_found_below_the_limits() -> None:
    versions = flooded("index", 60)
    assert "flooded" not in audit_repository(versions).log.counts
