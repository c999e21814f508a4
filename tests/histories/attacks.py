"""What an attacker with the machine's keys and the restic password adds to a history, and what an audit should say.

Attacks that leave nothing in a version listing (ACLs, reads, unfinished uploads, object locks) are not here.

    history = generate(seed)
    trace = attack(history, "delete one pack")

An attack begins an hour after the last operation, when no lock is held, so what it does is its own doing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rwm.times import DAY, SECOND, iso
from tests.histories.bucket import Bucket
from tests.histories.generator import History
from tests.histories.restic import CONFIG_SIZE, KINDS, MINUTE, Repository
from tests.histories.steps import Operation, Step, run

Expected = Literal["proof", "hint", "nothing"]
"""What an audit should say:

- ``proof``: at least one finding of this level for one of the keys of the trace, at or after its time;
- ``hint``: no proof, because restic or a person could have done it; a hint is wanted;
- ``nothing``: no proof, and a listing cannot show it. A hint would be more than is expected.
"""

LEVELS: tuple[Expected, ...] = ("nothing", "hint", "proof")

_HOUR = 60 * MINUTE


@dataclass(frozen=True, slots=True)
class Trace:
    """What an attack did: the keys concerned, when it began, and what an audit should say. No keys: it had no target.

    ``restic_only``: the proof follows from a rule that does not hold for a client without locks.
    """

    name: str
    at: int
    expected: Expected
    why: str
    keys: frozenset[str]
    restic_only: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where an attack happens. Time passes in ``bucket.now``."""

    bucket: Bucket
    repository: Repository
    random: random.Random

    def files(self, *kinds: str) -> list[str]:
        """The current files of these kinds."""
        return [key for kind in kinds for key in self.repository.files(kind)]

    def some(self, kind: str, count: int = 1) -> list[str]:
        """Up to so many current files of a kind, at random."""
        found = self.files(kind)
        return self.random.sample(found, min(count, len(found)))

    def config(self) -> list[str]:
        """The key ``config``, if it is there."""
        return [key for key in [self.repository.config] if self.bucket.is_current(key)]

    def everything(self) -> list[str]:
        """All current files of the repository."""
        return self.config() + self.files(*KINDS)

    def size(self, key: str) -> int:
        """The size of the newest version of a key that is no marker."""
        return next((version.size for version in self.bucket.history(key) if not version.is_marker), 0)

    def delete(self, keys: Iterable[str], pause: int = 5) -> list[str]:
        """Delete these keys, one after the other; returns them."""
        return [key for key in keys if self._deleted(key, pause)]

    def overwrite(self, keys: Iterable[str], size: int | None = None, *, parts: int = 0, pause: int = 5) -> list[str]:
        """Write other content over these keys, of the same size by default; returns them."""
        done = []
        for key in keys:
            self.bucket.now += pause
            self.bucket.put(key, self.size(key) if size is None else size, self.junk(), parts=parts)
            done.append(key)
        return done

    def junk(self) -> str:
        """A content that nothing else has."""
        return f"junk {self.random.getrandbits(64)}"

    def run(self, operation: Operation) -> list[str]:
        """Run an operation of restic; returns the keys."""
        return [step.key for step in run(self.bucket, operation)]

    def lock(self) -> str:
        """Write a lock file as restic would."""
        key = self.repository.new_name("locks")
        self.bucket.put(key, 135)
        self.bucket.now += 300
        return key

    def _deleted(self, key: str, pause: int) -> bool:
        self.bucket.now += pause
        return self.bucket.delete(key) is not None


Act = Callable[[Target], list[str]]


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack by name. ``number`` groups variants of one idea; ``act`` adds its events and returns the keys."""

    name: str
    number: int
    expected: Expected
    why: str
    act: Act
    restic_only: bool = False

    def __call__(self, bucket: Bucket, repository: Repository, rng: random.Random, at: int) -> Trace:
        """Carry it out at a time (milliseconds, not before ``bucket.now``)."""
        bucket.now = max(bucket.now, at)
        keys = frozenset(self.act(Target(bucket, repository, rng)))
        expected, why = self.expected, self.why
        if not keys:
            expected, why = "nothing", "there was nothing to attack"
        elif self.restic_only and not repository.uses_locks:
            expected, why = "hint", "the client has no locks, and writes config again when an option changes"
        return Trace(self.name, at, expected, why, keys, self.restic_only)


ATTACKS: dict[str, Attack] = {}
"""All attacks by name."""


def _attack(number: int, expected: Expected, why: str, *, restic_only: bool = False) -> Callable[[Act], Act]:
    def register(act: Act) -> Act:
        name = act.__name__.strip("_").replace("_", " ")
        ATTACKS[name] = Attack(name, number, expected, why, act, restic_only)
        return act

    return register


def attack(history: History, name: str, at: int | None = None) -> Trace:
    """Carry out an attack on one of the history's repositories, chosen at random, an hour after its last event."""
    history.make_quiet()
    repository = history.random.choice(history.repositories)
    history.log.append(f"{history.bucket.now} {repository.prefix or '/'} ATTACK {name}")
    trace = ATTACKS[name](history.bucket, repository, history.random, history.bucket.now if at is None else at)
    history.bucket.now += _HOUR
    return trace


def highest(traces: Sequence[Trace]) -> Expected:
    """What an audit should say of several attacks together."""
    return max((trace.expected for trace in traces), key=LEVELS.index, default="nothing")


# --- removals without a lock -------------------------------------------------------------------------

_NO_LOCK = "restic removes nothing while no lock is held"


@_attack(1, "proof", "restic never removes config, or the last key file, or the last index")
def delete_everything(target: Target) -> list[str]:
    return target.delete(target.everything())


@_attack(1, "proof", _NO_LOCK, restic_only=True)
def delete_half_of_the_packs(target: Target) -> list[str]:
    packs = target.files("data")
    return target.delete(target.some("data", (len(packs) + 1) // 2))


@_attack(1, "proof", _NO_LOCK, restic_only=True)
def delete_one_pack(target: Target) -> list[str]:
    return target.delete(target.some("data"))


@_attack(1, "proof", "there is never a moment without an index")
def delete_all_indexes(target: Target) -> list[str]:
    return target.delete(_indexes(target))


@_attack(1, "proof", "an index is removed only after a newer one was written")
def delete_newest_index(target: Target) -> list[str]:
    return target.delete(_indexes(target)[-1:])


@_attack(1, "proof", _NO_LOCK, restic_only=True)
def delete_all_snapshots(target: Target) -> list[str]:
    return target.delete(target.files("snapshots"))


@_attack(1, "proof", _NO_LOCK, restic_only=True)
def delete_one_snapshot(target: Target) -> list[str]:
    return target.delete(target.some("snapshots"))


@_attack(1, "proof", "restic never removes config")
def delete_config(target: Target) -> list[str]:
    return target.delete(target.config())


@_attack(1, "proof", "a key file is removed only while another one exists")
def delete_all_keys(target: Target) -> list[str]:
    return target.delete(target.files("keys"))


@_attack(25, "proof", "each removal without a lock is a proof by itself", restic_only=True)
def delete_a_pack_a_day(target: Target) -> list[str]:
    return target.delete(target.some("data", 5), pause=DAY)


@_attack(8, "proof", "many markers in one second, at midnight, and no lock: a lifecycle rule, not restic")
def expire_by_lifecycle(target: Target) -> list[str]:
    target.bucket.now += DAY - target.bucket.now % DAY
    return target.delete(target.everything(), pause=0)


@_attack(26, "proof", "the history keeps the removal", restic_only=True)
def delete_packs_and_write_them_again(target: Target) -> list[str]:
    deleted = target.delete(target.some("data", 3))
    target.bucket.now += _HOUR
    for key in deleted:
        target.bucket.put(key, target.size(key))
        target.bucket.now += 100
    return deleted


# --- other content -----------------------------------------------------------------------------------

_NAMES = "names are the SHA-256 of the content: another size or MD5 sum is another content"


@_attack(2, "proof", "config has another size", restic_only=True)
def overwrite_config(target: Target) -> list[str]:
    return target.overwrite(target.config(), 1000)


@_attack(2, "proof", _NAMES)
def overwrite_keys(target: Target) -> list[str]:
    return target.overwrite(target.files("keys"))


@_attack(2, "proof", _NAMES)
def overwrite_packs(target: Target) -> list[str]:
    return target.overwrite(target.some("data", 10))


@_attack(2, "proof", _NAMES)
def overwrite_one_pack_with_another_size(target: Target) -> list[str]:
    return [key for pack in target.some("data") for key in target.overwrite([pack], target.size(pack) + 1)]


@_attack(2, "proof", _NAMES)
def overwrite_indexes(target: Target) -> list[str]:
    return target.overwrite(target.files("index"))


@_attack(2, "proof", _NAMES)
def overwrite_snapshots(target: Target) -> list[str]:
    return target.overwrite(target.files("snapshots"))


@_attack(2, "proof", _NAMES)
def overwrite_everything(target: Target) -> list[str]:
    return target.overwrite(target.everything())


@_attack(2, "proof", _NAMES)
def overwrite_within_a_lock(target: Target) -> list[str]:
    lock = target.lock()
    done = target.overwrite(target.some("data", 3))
    target.delete([lock])
    return done


@_attack(25, "proof", "each other content is a proof by itself")
def overwrite_a_pack_a_day(target: Target) -> list[str]:
    return target.overwrite(target.some("data", 5), pause=DAY)


@_attack(26, "proof", "the history keeps the other content")
def overwrite_packs_and_write_them_back(target: Target) -> list[str]:
    packs = target.some("data", 3)
    target.overwrite(packs)
    target.bucket.now += _HOUR
    for key in packs:
        target.bucket.put(key, target.size(key))
    return packs


@_attack(2, "proof", _NAMES)
def delete_a_pack_and_write_another_content(target: Target) -> list[str]:
    packs = target.some("data")
    target.delete(packs)
    return target.overwrite(packs, pause=_HOUR)


@_attack(21, "proof", "restic's config has 155 bytes and is never cut")
def truncate_config(target: Target) -> list[str]:
    return target.overwrite(target.config(), 60)


@_attack(21, "proof", _NAMES)
def truncate_keys(target: Target) -> list[str]:
    return target.overwrite(target.files("keys"), 100)


@_attack(21, "proof", _NAMES)
def truncate_packs_to_nothing(target: Target) -> list[str]:
    return target.overwrite(target.some("data", 2), 0)


@_attack(7, "proof", "config changes at most once, by a migration", restic_only=True)
def flood_config_with_versions(target: Target) -> list[str]:
    for _ in range(50):
        target.overwrite(target.config(), CONFIG_SIZE)
    return target.config()


# --- the same size -----------------------------------------------------------------------------------


@_attack(29, "hint", "same size and ETag (SeaweedFS): as a retried upload, but long after the first")
def copy_with_own_key_and_the_same_etag(target: Target) -> list[str]:
    keys = [key for key in target.everything() if target.size(key)]
    for key in keys:
        target.bucket.now += 5
        target.bucket.put(key, target.size(key), etag=target.bucket.newest(key).etag)
    return keys


@_attack(29, "proof", "AWS gives an object encrypted with SSE-C another ETag: not to be told from another content")
def copy_with_own_key_and_another_etag(target: Target) -> list[str]:
    return target.overwrite(target.files(*KINDS))


@_attack(31, "hint", "ETags of multipart uploads cannot be compared: as a copy of the bucket by another program")
def junk_of_the_same_size_in_parts(target: Target) -> list[str]:
    return target.overwrite(target.files(*KINDS), parts=1)


@_attack(31, "hint", "the ETag cannot be compared, and config may be written again once")
def config_of_the_same_size_in_parts(target: Target) -> list[str]:
    return target.overwrite(target.config(), parts=1)


# --- names -------------------------------------------------------------------------------------------

_FOREIGN = "restic writes no such name in its own directories"

HOSTILE_NAMES = (
    "data/00/\x01",
    "data/zz/x",
    "data/../config",
    "data//x",
    "data/ab/" + "AB" * 32,
    "data/00/" + "ff" * 32,
    "data/" + "ab" * 32,
    "index/" + "ab" * 31,
    "index/" + "ab" * 32 + "/x",
    "index/.versions/x",
    "snapshots/\ufffd",
    "snapshots/\ufffe",
    "snapshots/\x1b[2J",
    "snapshots/<script>alert(1)</script>",
    "keys/" + "k" * 900,
    "locks/ü",
    "locks/",
)
"""Names below a repository that restic never writes."""


@_attack(16, "proof", _FOREIGN)
def hostile_names(target: Target) -> list[str]:
    return target.overwrite([target.repository.prefix + name for name in HOSTILE_NAMES], 10)


@_attack(28, "proof", _FOREIGN)
def one_control_character(target: Target) -> list[str]:
    return target.overwrite([target.repository.prefix + "data/00/\x01"], 10)


@_attack(16, "proof", _FOREIGN)
def foreign_name_written_and_removed(target: Target) -> list[str]:
    return target.delete(target.overwrite([target.repository.prefix + "index/readme.txt"], 10))


@_attack(7, "nothing", "other data beside a repository is nobody's business")
def flood_beside_the_repository(target: Target) -> list[str]:
    return target.overwrite([f"{target.repository.prefix}junk/{number}" for number in range(200)], 10)


# --- versioning --------------------------------------------------------------------------------------


@_attack(9, "proof", "a null version: versioning was suspended")
def overwrite_while_suspended(target: Target) -> list[str]:
    target.bucket.versioning = "suspended"
    done = target.overwrite(target.some("data", 2) + target.config())
    target.bucket.versioning = "enabled"
    return done


@_attack(9, "proof", "a null marker: versioning was suspended")
def delete_while_suspended(target: Target) -> list[str]:
    target.bucket.versioning = "suspended"
    done = target.delete(target.some("data", 2))
    target.bucket.versioning = "enabled"
    return done


@_attack(28, "proof", "a null version, written twice")
def null_version_written_twice(target: Target) -> list[str]:
    target.bucket.versioning = "suspended"
    done = target.overwrite(target.some("data"))
    target.overwrite(done)
    target.bucket.versioning = "enabled"
    return done


# --- as restic would ---------------------------------------------------------------------------------

_AS_RESTIC = "restic does the same within a lock; only its amount is unusual"


@_attack(27, "hint", _AS_RESTIC)
def forget_all_but_one_with_restic(target: Target) -> list[str]:
    return target.run(target.repository.forget(1))


@_attack(27, "hint", _AS_RESTIC)
def forget_everything_and_prune_with_restic(target: Target) -> list[str]:
    return target.run(target.repository.forget_prune(0))


@_attack(27, "hint", _AS_RESTIC)
def lock_then_delete_snapshots(target: Target) -> list[str]:
    return _within_a_lock(target, target.files("snapshots"))


@_attack(27, "hint", "restic removes packs that no index names in the same way")
def lock_then_delete_packs(target: Target) -> list[str]:
    return _within_a_lock(target, target.files("data"))


@_attack(27, "proof", "an index is removed only after a newer one was written in the same lock")
def lock_then_delete_indexes(target: Target) -> list[str]:
    if not target.files("snapshots"):  # prune of a repository without snapshots does the same
        return []
    return _within_a_lock(target, target.files("index"))


@_attack(27, "proof", "restic never removes config")
def lock_then_delete_config(target: Target) -> list[str]:
    return _within_a_lock(target, target.config())


@_attack(27, "proof", "a key file is removed only while another one exists")
def lock_then_delete_keys(target: Target) -> list[str]:
    return _within_a_lock(target, target.files("keys"))


@_attack(27, "hint", "a stale lock looks the same, and restic may resume after a computer slept")
def lock_forever_and_delete_a_pack_a_day(target: Target) -> list[str]:
    target.lock()
    return target.delete(target.some("data", 5), pause=DAY)


@_attack(27, "hint", "the lock of an honest backup covers it")
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


@_attack(27, "nothing", "the same as migrate upgrade_repo_v2")
def lock_then_write_config_once(target: Target) -> list[str]:
    if target.repository.is_migrated or not target.config():
        return []
    target.repository.is_migrated = True
    lock = target.lock()
    done = target.overwrite(target.config())
    target.delete([lock])
    return done


@_attack(3, "nothing", "an index with a valid name: only restic check can tell")
def malformed_index(target: Target) -> list[str]:
    lock = target.lock()
    key = target.repository.new_name("index")
    target.bucket.put(key, 500)
    target.delete([lock])
    return [key]


@_attack(4, "hint", "a burst of snapshots")
def many_false_snapshots(target: Target) -> list[str]:
    return [key for _ in range(100) for key in target.run(target.repository.backup(0)) if "snapshots/" in key]


@_attack(22, "hint", "the machine's own forget drops snapshots that are younger than the retention says")
def false_snapshots_then_forget(target: Target) -> list[str]:
    true = target.files("snapshots")
    for _ in range(10):
        target.run(target.repository.backup(0))
    target.bucket.now += DAY
    target.run(target.repository.forget(10))
    return [key for key in true if target.bucket.is_deleted(key)]


@_attack(4, "hint", "a backup that adds far more than the median: all files encrypted")
def huge_backup(target: Target) -> list[str]:
    return [key for key in target.run(target.repository.backup(300)) if "data/" in key]


@_attack(27, "nothing", "a key more, as key add writes it")
def add_own_key(target: Target) -> list[str]:
    return [key for key in target.run(target.repository.key_add()) if "keys/" in key]


@_attack(20, "nothing", "unlock --remove-all does the same")
def delete_own_locks(target: Target) -> list[str]:
    lock = target.lock()
    return target.delete([lock])


# --- state files -------------------------------------------------------------------------------------


@_attack(5, "hint", "RWM writes a state file once and never puts a marker on it")
def delete_state_files(target: Target) -> list[str]:
    return target.delete(target.bucket.keys(f"{target.repository.prefix}rwm/states/"))


@_attack(5, "hint", "a state file is named after its content, but it is compressed: its bytes may differ")
def overwrite_state_files(target: Target) -> list[str]:
    return target.overwrite(target.bucket.keys(f"{target.repository.prefix}rwm/states/"), 5000)


@_attack(5, "nothing", "a state of the past with a valid name: its entries tell, the listing does not")
def forge_state_file(target: Target) -> list[str]:
    at = iso((target.bucket.now - 30 * DAY) // SECOND * SECOND)
    key = f"{target.repository.prefix}rwm/states/{at}-{target.random.getrandbits(256):064x}.jsonl.gz"
    return target.overwrite([key], 5000)


def _indexes(target: Target) -> list[str]:
    """The indexes; none where a client without locks may remove all of them, because no snapshot is left."""
    is_empty = not target.repository.uses_locks and not target.files("snapshots")
    return [] if is_empty else target.files("index")


def _within_a_lock(target: Target, keys: Sequence[str]) -> list[str]:
    """Write a lock, delete these keys, remove the lock."""
    lock = target.lock()
    done = target.delete(keys)
    target.delete([lock])
    return done
