"""The rules about a removal and the rest of the repository: the attack, and what restic does instead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rwm.times import DAY
from tests.histories.bucket import Bucket
from tests.histories.restic import MINUTE, Repository
from tests.histories.steps import Operation, run
from tests.unit.rwm.trust.auditing import audit_repository
from tests.unit.rwm.trust.memory_bucket import with_backups


def codes(bucket: Bucket, retention: dict[str, str] | None = None) -> set[str]:
    return set(audit_repository(bucket.listing(), "", bucket.now, retention).log.counts)


def under_a_lock(bucket: Bucket, repository: Repository, *keys: str) -> None:
    """Delete files as an attacker does who writes a lock first."""
    bucket.now += DAY
    lock = repository.new_name("locks")
    bucket.put(lock, 150)
    for key in keys:
        bucket.now += 1000
        bucket.delete(key)
    bucket.now += 1000
    bucket.delete(lock)
    bucket.now += DAY


@pytest.fixture
def place() -> tuple[Bucket, Repository]:
    bucket, (repository,) = with_backups("", backups=8)
    return bucket, repository


Place = tuple[Bucket, Repository]


@pytest.mark.parametrize(
    "operation",
    [
        lambda r: r.forget_prune(2, repack=1),
        lambda r: r.prune(repack=2),
        lambda r: r.key_passwd(),
        lambda r: r.rebuild_index(),
        lambda r: r.repair_packs(),
        lambda r: r.migrate(),
        lambda r: r.rewrite(2, forget=True),
    ],
)
def test_operations_of_restic_are_no_proof(place: Place, operation: Callable[[Repository], Operation]) -> None:
    bucket, repository = place
    bucket.now += DAY
    run(bucket, operation(repository))
    bucket.now += MINUTE
    audit = audit_repository(bucket.listing())
    assert audit.log.proofs == 0, list(audit.log.listed())


def test_all_keys_removed(place: Place) -> None:
    bucket, repository = place
    under_a_lock(bucket, repository, *repository.files("keys"))
    assert codes(bucket) == {"all-keys-removed"}


def test_last_index_removed(place: Place) -> None:
    bucket, repository = place
    under_a_lock(bucket, repository, *repository.files("index"))
    assert codes(bucket) == {"last-index-removed"}


def test_one_of_several_indexes_is_removed_by_restic(place: Place) -> None:
    bucket, repository = place
    under_a_lock(bucket, repository, repository.files("index")[0])
    assert "last-index-removed" not in codes(bucket)


def test_a_pack_before_its_index(place: Place) -> None:
    """An index names the pack: it was written well before the snapshot of its backup."""
    bucket, repository = place
    bucket.now += DAY
    known = set(repository.files("data"))
    run(bucket, repository.backup(4, duration=MINUTE))
    under_a_lock(bucket, repository, next(key for key in repository.files("data") if key not in known))
    assert codes(bucket) == {"pack-before-index"}


def test_versioning_suspended(place: Place) -> None:
    bucket, repository = place
    run(bucket, repository.backup(1))
    bucket.versioning = "suspended"
    bucket.now += DAY
    run(bucket, repository.backup(1))
    assert "versioning-suspended" in codes(bucket)
    bucket = Bucket()
    repository = Repository(bucket)
    bucket.versioning = "off"
    for operation in (repository.init(), repository.backup(2)):
        run(bucket, operation)
    bucket.versioning = "enabled"
    bucket.now += DAY
    run(bucket, repository.backup(2))
    assert audit_repository(bucket.listing()).log.proofs == 0, "versioning came later"


def test_all_snapshots_removed_is_a_hint(place: Place) -> None:
    bucket, repository = place
    under_a_lock(bucket, repository, *repository.files("snapshots"))
    assert "no-snapshot-left" in codes(bucket)
    assert audit_repository(bucket.listing()).log.proofs == 0


def test_snapshots_that_the_retention_keeps(place: Place) -> None:
    bucket, repository = place
    under_a_lock(bucket, repository, *repository.files("snapshots")[-3:])
    assert "beyond-retention" in codes(bucket, {"keep-last": "5"})
    assert "beyond-retention" not in codes(bucket)


def test_forget_by_the_retention_is_no_hint(place: Place) -> None:
    bucket, repository = place
    bucket.now += DAY
    run(bucket, repository.forget(5))
    assert "beyond-retention" not in codes(bucket, {"keep-last": "5"})


def test_a_burst_of_snapshots(place: Place) -> None:
    bucket, repository = place
    for _ in range(25):
        bucket.now += MINUTE
        run(bucket, repository.backup(0))
    assert "snapshot-burst" in codes(bucket)


def test_no_backup_for_long(place: Place) -> None:
    bucket, _ = place
    assert "no-recent-backup" not in codes(bucket)
    bucket.now += 4 * DAY
    assert codes(bucket) == {"no-recent-backup"}
