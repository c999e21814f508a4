"""The rules about a removal and the rest of the repository: the attack, and what restic does instead."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest

from rwm.model import ObjectVersion
from rwm.times import DAY
from rwm.trust.evidence import REFRESH, SLACK, LockHistory
from rwm.trust.finding import Finding
from rwm.trust.key_history import KeyHistory
from rwm.trust.names import Kind
from rwm.trust.repository_rules import (
    MANY_LOCKS,
    MAX_CHANGES,
    Inventory,
    Removals,
    last_index_removed,
    pack_before_index,
)
from tests.histories.bucket import Bucket
from tests.histories.restic import MINUTE, Repository
from tests.histories.rwm import Rwm
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


@pytest.mark.parametrize("locks", [MANY_LOCKS - 1, MANY_LOCKS])
def test_only_locks_beside_states_are_named_when_there_are_many(place: Place, locks: int) -> None:
    """A machine that writes a state file beside each of its locks, in a repository that has no other lock."""
    bucket, repository, rwm = *place, Rwm(place[0])
    for lock in {version.key: None for version in bucket if "locks/" in version.key}:
        for version in bucket.history(lock):
            bucket.remove_version(lock, version.version_id)
    for _ in range(locks):
        lock = repository.new_name("locks")
        bucket.put(lock, 150)
        rwm.capture()
        bucket.delete(lock)
        bucket.now += DAY
    assert ("doubtful-locks" in codes(bucket)) is (locks == MANY_LOCKS)
    removed = repository.files("data")[0]
    bucket.delete(removed)
    assert "unlocked-removal" not in codes(bucket), "another program may have removed its lock"
    run(bucket, repository.backup(1))
    bucket.now += DAY
    bucket.delete(repository.files("data")[0])
    assert "doubtful-locks" not in codes(bucket)
    assert "unlocked-removal" in codes(bucket)


LOCKED = 1_800_000_000_000
"""When a lock is written that is the oldest one left."""


def files(kind: Kind, *lives: Sequence[int]) -> list[KeyHistory]:
    """Files that were written, removed and so on at times after LOCKED."""
    return [
        KeyHistory(
            "",
            kind,
            [
                ObjectVersion(f"{kind}/{number:064x}", f"{at}", False, n % 2 == 1, 0, "", LOCKED + at)
                for n, at in enumerate(times)
            ],
        )
        for number, times in enumerate(lives)
    ]


def judge_indexes(
    indexes: list[KeyHistory], snapshots: list[KeyHistory], *, has_locks: bool = True, limit: int = MAX_CHANGES
) -> list[Finding]:
    locks, removals, of_indexes, of_snapshots = LockHistory(), Removals(), Inventory(), Inventory()
    if has_locks:
        locks.add(files(Kind.LOCKS, [0, 10 * MINUTE])[0].entries)
    with patch("rwm.trust.repository_rules.MAX_CHANGES", limit):
        for index in indexes:
            of_indexes.add(index)
            removals.add(index)
        for snapshot in snapshots:
            of_snapshots.add(snapshot)
    return list(last_index_removed("", removals, locks, of_indexes, of_snapshots))


def test_removals_of_indexes_take_a_hundred_bytes_each() -> None:
    """An object for each name and id took more than two hundred: 30 MB of a repository of ten million packs."""
    count, removals = 5000, Removals()
    tracemalloc.start()
    for number in range(count):
        key = f"index/{number:064x}"
        written = ObjectVersion(key, f"{number:031x}", False, False, 1, "e", number)
        removals.add(KeyHistory("", Kind.INDEX, [written, ObjectVersion(key, f"é{number:031x}", True, True, 0, "", 9)]))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 110 * count
    found = [(name, version_id) for name, version_id, _, _ in removals]
    assert found == [(f"{number:064x}", f"é{number:031x}") for number in range(count)]


class TestLastIndexRemoved:
    REMOVED = files(Kind.INDEX, [-DAY, MINUTE])
    SNAPSHOT = files(Kind.SNAPSHOTS, [-DAY])

    def test_from_its_removal_until_it_is_written_again(self) -> None:
        (found,) = judge_indexes(files(Kind.INDEX, [-DAY, MINUTE, 2 * MINUTE]), self.SNAPSHOT)
        assert (found.rule.code, found.version_id) == ("last-index-removed", f"{MINUTE}")
        assert (found.start - LOCKED, found.end - LOCKED) == (MINUTE, 2 * MINUTE)

    def test_snapshots_before_and_after_the_removal(self) -> None:
        """The last snapshot and the last index may go together, and the first one of both be written together."""
        around = MINUTE + SLACK
        for lives, codes_found in (
            ([[-DAY]], ["last-index-removed"]),
            ([], []),
            ([[-DAY, around]], []),
            ([[-DAY, around + 1]], ["last-index-removed"]),
            ([[MINUTE - SLACK]], ["last-index-removed"]),
            ([[MINUTE - SLACK + 1]], []),
        ):
            found = judge_indexes(self.REMOVED, files(Kind.SNAPSHOTS, *lives))
            assert [one.rule.code for one in found] == codes_found, lives

    @pytest.mark.parametrize(("written", "is_found"), [(MINUTE + SLACK, False), (MINUTE + SLACK + 1, True)])
    def test_an_index_that_was_written_by_then_is_left(self, written: int, is_found: bool) -> None:
        indexes = files(Kind.INDEX, [-DAY, MINUTE], [written])
        assert bool(judge_indexes(indexes, self.SNAPSHOT)) is is_found

    def test_before_the_oldest_lock_others_may_have_been_pruned(self) -> None:
        assert judge_indexes(files(Kind.INDEX, [-DAY, -MINUTE]), self.SNAPSHOT) == []
        assert judge_indexes(files(Kind.INDEX, [-2 * DAY, -MINUTE]), self.SNAPSHOT, has_locks=False)

    def test_without_locks_it_is_a_hint(self) -> None:
        (found,) = judge_indexes(self.REMOVED, self.SNAPSHOT, has_locks=False)
        assert (found.rule.code, found.rule.level) == ("no-index-left", "hint")

    def test_nothing_is_concluded_from_a_part(self) -> None:
        more = files(Kind.SNAPSHOTS, [-DAY], [-DAY], [-DAY])
        assert judge_indexes(self.REMOVED, more, limit=3)
        assert judge_indexes(self.REMOVED, more, limit=2) == []
        assert judge_indexes([*self.REMOVED, *files(Kind.INDEX, [MINUTE])], self.SNAPSHOT, limit=2) == []


class TestPackBeforeIndex:
    """A pack of a backup that had ended, removed in a later session."""

    HOUR = 60 * MINUTE
    BACKUP, PRUNE = (HOUR, HOUR + 4 * MINUTE), (5 * HOUR, 5 * HOUR + 10 * MINUTE)
    WRITTEN, REMOVED, SNAPSHOT = HOUR + 2 * MINUTE, 5 * HOUR + MINUTE, HOUR + 3 * MINUTE

    def judge(
        self,
        *,
        locks: Sequence[Sequence[int]] = (BACKUP, PRUNE),
        snapshots: Sequence[int] = (SNAPSHOT,),
        indexes_removed: Sequence[int] = (),
        pack: Sequence[int] = (WRITTEN, REMOVED),
        first_lock: Sequence[int] | None = (0, MINUTE),
    ) -> list[Finding]:
        held, of_indexes, of_snapshots = LockHistory(), Inventory(), Inventory()
        for lock in files(Kind.LOCKS, *([first_lock] if first_lock else []), *locks):
            held.add(lock.entries)
        for index in files(Kind.INDEX, *((1, time) for time in indexes_removed)):
            of_indexes.add(index)
        for snapshot in files(Kind.SNAPSHOTS, *((time,) for time in snapshots)):
            of_snapshots.add(snapshot)
        (history,) = files(Kind.DATA, pack)
        return list(pack_before_index(history, held, of_indexes, of_snapshots))

    def codes(self, **changes: Any) -> list[str]:
        return [finding.rule.code for finding in self.judge(**changes)]

    def test_from_its_removal_until_it_is_written_again(self) -> None:
        (found,) = self.judge(pack=(self.WRITTEN, self.REMOVED, 6 * self.HOUR, 7 * self.HOUR))
        assert found.rule.code == "pack-before-index"
        assert (found.start - LOCKED, found.end - LOCKED) == (self.REMOVED, 6 * self.HOUR)

    def test_an_index_that_was_removed_since_may_be_the_one_that_named_it(self) -> None:
        before, between, after = self.WRITTEN - 1, 3 * self.HOUR, self.REMOVED + SLACK
        assert self.codes(indexes_removed=[before, after + 1]) == ["pack-before-index"]
        assert self.codes(indexes_removed=[between]) == self.codes(indexes_removed=[after]) == []

    def test_a_snapshot_after_it_tells_that_an_index_named_it(self) -> None:
        lock_end = self.BACKUP[1]
        for time, is_named in (
            (self.WRITTEN + SLACK - 1, False),  # the index may have been written before the pack
            (self.WRITTEN + SLACK, True),
            (lock_end, True),
            (lock_end + 1, False),
        ):
            assert self.codes(snapshots=[time]) == ["pack-before-index"] * is_named, time
        assert self.codes(snapshots=[]) == [], "the backup was killed"

    def test_another_lock_beside_that_of_the_backup(self) -> None:
        """The snapshot may be that of the other backup, and this one was killed."""
        assert self.codes(locks=[self.BACKUP, self.BACKUP, self.PRUNE]) == []

    def test_without_a_lock_from_before_it_there_may_have_been_another_backup(self) -> None:
        """A lifecycle rule may have removed its lock."""
        assert self.codes(first_lock=None) == []
        assert self.codes(first_lock=(1, self.BACKUP[0] - SLACK)) == ["pack-before-index"]

    def test_under_a_lock_that_nobody_replaced_there_may_have_been_another_backup(self) -> None:
        """A killed backup left its lock; that of the next one, which wrote the snapshot, was pruned before."""
        start = self.BACKUP[0]
        for length, is_named in ((REFRESH + SLACK, True), (REFRESH + SLACK + 1, False)):
            assert self.codes(locks=[(start, start + length), self.PRUNE]) == ["pack-before-index"] * is_named

    def test_a_pack_of_the_same_session(self) -> None:
        assert self.codes(pack=(self.WRITTEN, self.WRITTEN + 1000)) == ["pack-beside-backup"]

    def test_a_snapshot_in_the_session_of_the_removal(self) -> None:
        assert self.codes(snapshots=[5 * self.HOUR + 2 * MINUTE]) == ["pack-beside-backup"]
        assert self.codes(snapshots=[5 * self.HOUR + 20 * MINUTE]) == []

    def test_without_a_lock_the_removal_is_judged_by_itself(self) -> None:
        assert self.codes(locks=[self.BACKUP]) == []
        taken = (5 * self.HOUR - MINUTE, 5 * self.HOUR)
        assert self.codes(locks=[self.BACKUP, taken]) == ["pack-before-index"], "its lock was taken away"


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


def test_a_lock_that_was_left_joins_no_sessions(place: Place) -> None:
    """Else the backups of a year would make up for the snapshots that are removed at its end."""
    bucket, repository = place
    bucket.put(repository.new_name("locks"), 135)
    for _ in range(3):
        bucket.now += DAY
        run(bucket, repository.backup(1))
    bucket.now += DAY
    under_a_lock(bucket, repository, *repository.files("snapshots")[-3:])
    assert "beyond-retention" in codes(bucket, {"keep-last": "5"})


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


@pytest.mark.parametrize("before", [0, 6, 12])
def test_a_burst_across_a_full_hour_of_the_clock(before: int, place: Place) -> None:
    bucket, repository = place
    hour = DAY // 24
    bucket.now = (bucket.now // hour + 50) * hour - before * MINUTE
    for _ in range(12):
        run(bucket, repository.backup(0))
        bucket.now += MINUTE - bucket.now % MINUTE
    audit = audit_repository(bucket.listing())
    (found,) = (item for item in audit.log.listed() if item.rule.code == "snapshot-burst")
    assert found.detail == "12 snapshots within an hour"


def test_no_backup_for_long(place: Place) -> None:
    bucket, _ = place
    assert "no-recent-backup" not in codes(bucket)
    bucket.now += 4 * DAY
    assert codes(bucket) == {"no-recent-backup"}


def test_what_comes_after_an_omission_is_left_out() -> None:
    inventory = Inventory()
    inventory.omitted_since = LOCKED + 5000
    for written, removed in ((1000, 2000), (3000, 6000), (7000, 8000)):
        (history,) = files(Kind.INDEX, (written, removed))
        inventory.add(history)
    assert [time - LOCKED for time in inventory.written] == [1000, 3000]
    assert [time - LOCKED for time in inventory.removed] == [2000]
