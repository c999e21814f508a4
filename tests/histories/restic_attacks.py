"""Attacks that do as restic would: within a lock, or with restic itself."""

from __future__ import annotations

from collections.abc import Sequence

from rwm.times import DAY
from tests.histories.attack import Target, registers
from tests.histories.steps import Operation, Step

# --- as restic would ---------------------------------------------------------------------------------

_AS_RESTIC = "restic does the same within a lock; only its amount is unusual"


@registers(27, "hint", _AS_RESTIC)
def forget_all_but_one_with_restic(target: Target) -> list[str]:
    return target.run(target.repository.forget(1))


@registers(27, "hint", _AS_RESTIC)
def forget_everything_and_prune_with_restic(target: Target) -> list[str]:
    return target.run(target.repository.forget_prune(0))


@registers(27, "hint", _AS_RESTIC)
def lock_then_delete_snapshots(target: Target) -> list[str]:
    return _within_a_lock(target, target.files("snapshots"))


@registers(27, "hint", "restic removes packs that no index names in the same way")
def lock_then_delete_packs(target: Target) -> list[str]:
    return _within_a_lock(target, target.files("data"))


@registers(27, "proof", "an index is removed only after a newer one was written in the same lock")
def lock_then_delete_indexes(target: Target) -> list[str]:
    if not target.files("snapshots"):  # prune of a repository without snapshots does the same
        return []
    return _within_a_lock(target, target.files("index"))


@registers(27, "proof", "restic never removes config")
def lock_then_delete_config(target: Target) -> list[str]:
    return _within_a_lock(target, target.config())


@registers(27, "proof", "a key file is removed only while another one exists")
def lock_then_delete_keys(target: Target) -> list[str]:
    return _within_a_lock(target, target.files("keys"))


@registers(27, "hint", "a stale lock looks the same, and restic may resume after a computer slept")
def lock_forever_and_delete_a_pack_a_day(target: Target) -> list[str]:
    target.lock()
    return target.delete(target.some("data", 5), pause=DAY)


@registers(27, "hint", "the lock of an honest backup covers it")
def delete_packs_during_a_backup(target: Target) -> list[str]:
    victims = target.some("data", 3)

    def backup() -> Operation:
        for step in target.repository.backup(2):
            yield step
            if "/data/" in f"/{step.key}":
                while victims:
                    yield Step("delete", victims.pop())

    before = list(victims)
    target.run(backup())
    return before


@registers(15, "hint", "as an operation whose lock was removed by unlock --remove-all, until its next refresh")
def delete_a_pack_right_after_a_backup(target: Target) -> list[str]:
    target.run(target.repository.backup(1))
    return target.delete(target.some("data"), pause=500)


@registers(27, "hint", "the same as migrate upgrade_repo_v2, which is done once")
def lock_then_write_config_once(target: Target) -> list[str]:
    if target.repository.is_migrated or not target.config():
        return []
    target.repository.is_migrated = True
    lock = target.lock()
    done = target.overwrite(target.config())
    target.delete([lock])
    return done


@registers(3, "nothing", "an index with a valid name: only restic check can tell")
def malformed_index(target: Target) -> list[str]:
    lock = target.lock()
    key = target.repository.new_name("index")
    target.bucket.put(key, 500)
    target.delete([lock])
    return [key]


@registers(4, "hint", "a burst of snapshots")
def many_false_snapshots(target: Target) -> list[str]:
    return [key for _ in range(100) for key in target.run(target.repository.backup(0)) if "snapshots/" in key]


@registers(22, "hint", "the machine's own forget drops snapshots that are younger than the retention says")
def false_snapshots_then_forget(target: Target) -> list[str]:
    true = target.files("snapshots")
    for _ in range(10):
        target.run(target.repository.backup(0))
    target.bucket.now += DAY
    target.run(target.repository.forget(10))
    return [key for key in true if target.bucket.is_deleted(key)]


@registers(4, "hint", "a backup that adds far more than the median: all files encrypted")
def huge_backup(target: Target) -> list[str]:
    return [key for key in target.run(target.repository.backup(300)) if "data/" in key]


@registers(4, "hint", "backups so small that all earlier ones are large beside them, and a burst of snapshots")
def tiny_backups(target: Target) -> list[str]:
    done: list[str] = []
    for _ in range(300):
        done += target.run(_tiny_backup(target))
        target.bucket.now += 10 * 1000
    return done


def _tiny_backup(target: Target) -> Operation:
    """As restic's, with one pack of 100 bytes."""
    names = {kind: target.repository.new_name(kind) for kind in ("locks", "data", "index", "snapshots")}
    for kind, size in (("locks", 135), ("data", 100), ("index", 300), ("snapshots", 200)):
        yield Step("put", names[kind], size)
    yield Step("delete", names["locks"])


@registers(27, "nothing", "a key more, as key add writes it")
def add_own_key(target: Target) -> list[str]:
    return [key for key in target.run(target.repository.key_add()) if "keys/" in key]


@registers(20, "nothing", "unlock --remove-all does the same")
def delete_own_locks(target: Target) -> list[str]:
    lock = target.lock()
    return target.delete([lock])


def _within_a_lock(target: Target, keys: Sequence[str]) -> list[str]:
    """Write a lock, delete these keys, remove the lock."""
    lock = target.lock()
    done = target.delete(keys)
    target.delete([lock])
    return done
