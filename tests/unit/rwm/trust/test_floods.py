"""More locks, indexes and snapshots than are held: a hint."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from rwm.model import ObjectVersion
from rwm.times import DAY
from rwm.trust import evidence, intervals, repository_rules
from tests.histories.bucket import Bucket
from tests.histories.restic import Repository
from tests.histories.steps import run
from tests.unit.rwm.trust.auditing import audit_repository


def flooded(directory: str, count: int) -> list[ObjectVersion]:
    """An honest repository, then so many files in one of its directories."""
    bucket = Bucket()
    repository = Repository(bucket, "", 1)
    run(bucket, repository.init())
    for _ in range(3):
        bucket.now += DAY
        run(bucket, repository.backup(4))
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


def test_no_flood_is_found_below_the_limits() -> None:
    versions = flooded("index", 60)
    assert "flooded" not in audit_repository(versions).log.counts
