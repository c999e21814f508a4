"""Attacks that remove files without a lock."""

from __future__ import annotations

from rwm.times import DAY
from tests.histories.attack import Target, registers
from tests.histories.restic import MINUTE

_HOUR = 60 * MINUTE

_NO_LOCK = "restic removes nothing while no lock is held"


@registers(1, "proof", "restic never removes config, or the last key file, or the last index")
def delete_everything(target: Target) -> list[str]:
    return target.delete(target.everything())


@registers(1, "proof", _NO_LOCK, restic_only=True)
def delete_half_of_the_packs(target: Target) -> list[str]:
    packs = target.files("data")
    return target.delete(target.some("data", (len(packs) + 1) // 2))


@registers(1, "proof", _NO_LOCK, restic_only=True)
def delete_one_pack(target: Target) -> list[str]:
    return target.delete(target.some("data"))


@registers(1, "proof", "there is never a moment without an index")
def delete_all_indexes(target: Target) -> list[str]:
    return target.delete(_indexes(target))


@registers(1, "proof", "an index is removed only after a newer one was written")
def delete_newest_index(target: Target) -> list[str]:
    return target.delete(_indexes(target)[-1:])


@registers(1, "proof", _NO_LOCK, restic_only=True)
def delete_all_snapshots(target: Target) -> list[str]:
    return target.delete(target.files("snapshots"))


@registers(1, "proof", _NO_LOCK, restic_only=True)
def delete_one_snapshot(target: Target) -> list[str]:
    return target.delete(target.some("snapshots"))


@registers(1, "proof", "restic never removes config")
def delete_config(target: Target) -> list[str]:
    return target.delete(target.config())


@registers(1, "proof", "a key file is removed only while another one exists")
def delete_all_keys(target: Target) -> list[str]:
    return target.delete(target.files("keys"))


@registers(25, "proof", "each removal without a lock is a proof by itself", restic_only=True)
def delete_a_pack_a_day(target: Target) -> list[str]:
    return target.delete(target.some("data", 5), pause=DAY)


@registers(25, "proof", _NO_LOCK, restic_only=True)
def delete_a_pack_ten_minutes_after_a_backup(target: Target) -> list[str]:
    target.run(target.repository.backup(1))
    return target.delete(target.some("data"), pause=10 * MINUTE)


@registers(7, "proof", _NO_LOCK, restic_only=True)
def flood_a_pack_with_markers(target: Target) -> list[str]:
    packs = target.some("data")
    for pack in packs:
        for _ in range(50):
            target.delete([pack])
            target.bucket.put(pack, target.size(pack))
    return packs


@registers(8, "proof", "many markers in one second, at midnight, and no lock: a lifecycle rule, not restic")
def expire_by_lifecycle(target: Target) -> list[str]:
    target.bucket.now += DAY - target.bucket.now % DAY
    return target.delete(target.everything(), pause=0)


@registers(26, "proof", "the history keeps the removal", restic_only=True)
def delete_packs_and_write_them_again(target: Target) -> list[str]:
    deleted = target.delete(target.some("data", 3))
    target.bucket.now += _HOUR
    for key in deleted:
        target.bucket.put(key, target.size(key))
        target.bucket.now += 100
    return deleted


def _indexes(target: Target) -> list[str]:
    """The indexes; none where a client without locks may remove all of them, because no snapshot is left."""
    is_empty = not target.repository.uses_locks and not target.files("snapshots")
    return [] if is_empty else target.files("index")
