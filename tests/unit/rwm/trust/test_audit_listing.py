"""How a location is listed for its audit: all of it once, phase by phase, packs by several connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from rwm.errors import AccessDenied
from rwm.location import Location
from rwm.model import ObjectVersion
from rwm.times import DAY
from rwm.trust import audit_location
from rwm.trust.repository_audit import PHASES
from tests.histories.bucket import Bucket
from tests.histories.rwm import Rwm
from tests.histories.stream import stream
from tests.unit.memory import MemoryS3
from tests.unit.rwm.trust.auditing import audit_repository
from tests.unit.rwm.trust.memory_bucket import load, with_backups

VERSIONS = 12_000


@pytest.fixture(scope="module")
def versions() -> list[ObjectVersion]:
    return list(stream(VERSIONS))


def test_packs_are_listed_in_parallel_and_last(versions: list[ObjectVersion], monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = MemoryS3("bucket1")
    now = max(version.last_modified for version in versions)
    load(s3, versions, now)
    listed: list[str] = []
    batches = s3.version_batches

    def noted(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        listed.append(prefix)
        return batches(bucket, prefix, page_size=page_size)

    monkeypatch.setattr(s3, "version_batches", noted)
    counts: list[int] = []
    found = audit_location(s3, Location("bucket1"), progress=counts.append)
    (repository,) = found.repositories
    expected = audit_repository(versions, now=found.now)
    assert repository.versions == sum(counts) == VERSIONS
    assert repository.log.counts == expected.log.counts
    assert list(repository.activity.hours()) == list(expected.activity.hours())
    assert listed[:7] == ["rwm/states/", *(phase or "config" for phase in PHASES)]
    assert len(set(listed[7:])) > 1 and all(prefix.startswith("data/") for prefix in listed[7:])


@pytest.mark.parametrize("is_denied", [False, True])
def test_captures_of_prefixes_above_the_location_count_if_they_may_be_listed(
    is_denied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock below ``host1/`` may have been left for a state of the whole bucket."""
    bucket, (repository,) = with_backups("host1/", backups=1)
    for lock in {version.key: None for version in bucket if "/locks/" in version.key}:
        for version in bucket.history(lock):
            bucket.remove_version(lock, version.version_id)
    bucket.put(repository.new_name("locks"), 150)
    Rwm(bucket).capture()
    s3 = MemoryS3("bucket1")
    load(s3, bucket.listing(), bucket.now)
    batches = s3.version_batches

    def limited(name: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        if is_denied and not prefix.startswith("host1/"):
            raise AccessDenied("the machine may list its own prefix")
        return batches(name, prefix, page_size=page_size)

    monkeypatch.setattr(s3, "version_batches", limited)
    (audited,) = audit_location(s3, Location("bucket1", "host1/")).repositories
    assert audited.locks.is_known(bucket.now) is is_denied


def junk(bucket: Bucket, count: int) -> None:
    """Directories that look like repositories, as a machine can make below its prefix, of two days."""
    for number in range(count):
        for name in ("config", "keys/x", "data/00/y", "locks/z" if number % 2 else "index/z"):
            bucket.put(f"host1/junk{number:03}/{name}", 100)
        bucket.now += DAY // 100
        if number % 3 == 0:
            bucket.delete(f"host1/junk{number:03}/config")


def test_many_small_repositories_are_judged_as_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = MemoryS3("bucket1")
    bucket, _ = with_backups("host1/", "host2/")
    junk(bucket, 100)
    load(s3, bucket.listing(), bucket.now)
    listed: list[str] = []
    batches = s3.version_batches

    def noted(bucket: str, prefix: str = "", *, page_size: int = 1000) -> Iterator[Sequence[ObjectVersion]]:
        listed.append(prefix)
        return batches(bucket, prefix, page_size=page_size)

    monkeypatch.setattr(s3, "version_batches", noted)
    together = audit_location(s3, Location("bucket1"))
    assert len(listed) < 1.1 * len(together.repositories)
    alone = [audit_location(s3, Location("bucket1", audit.root)) for audit in together.repositories[1:]]
    assert [audit.root for audit in together.repositories] == sorted(audit.root for audit in together.repositories)
    assert len(alone) == 101
    for expected, found in zip(alone, together.repositories[1:], strict=True):
        assert list(found.log.listed()) == list(expected.repositories[0].log.listed())
        assert found.versions == expected.repositories[0].versions
        assert list(found.activity.hours()) == list(expected.repositories[0].activity.hours())
