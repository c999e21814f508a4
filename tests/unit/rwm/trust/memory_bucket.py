"""Simulated histories in a bucket in memory."""

from __future__ import annotations

from collections.abc import Iterable

from rwm.model import ObjectVersion
from rwm.s3.listing import group_by_key
from rwm.times import DAY
from tests.histories.bucket import Bucket
from tests.histories.restic import Repository
from tests.histories.steps import run
from tests.unit.memory import MemoryS3


def load(s3: MemoryS3, versions: Iterable[ObjectVersion], now: int, bucket: str = "bucket1") -> None:
    """Replace the content of the bucket by a listing, at the time ``now``; files have no content."""
    s3.buckets[bucket] = {entries[0].key: entries for entries in group_by_key(versions)}
    s3.bodies = {entry.version_id: b"" for entries in s3.buckets[bucket].values() for entry in entries}
    s3.now = now


def with_backups(*prefixes: str, backups: int = 3) -> tuple[Bucket, list[Repository]]:
    """A bucket with a repository at each prefix, and so many backups of each, one a day."""
    bucket = Bucket()
    repositories = [Repository(bucket, prefix, seed) for seed, prefix in enumerate(prefixes)]
    for repository in repositories:
        run(bucket, repository.init())
    for _ in range(backups):
        bucket.now += DAY
        for repository in repositories:
            run(bucket, repository.backup(4))
    return bucket, repositories
