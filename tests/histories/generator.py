"""Honest histories: random ones from a seed, and one for each point at which an operation can be interrupted."""

from __future__ import annotations

import random
from collections.abc import Iterator

from rwm.times import DAY
from tests.histories.bucket import CLOCK_MODELS, Bucket, ClockModel
from tests.histories.life import OPERATIONS, History, Life, unlocked_after
from tests.histories.restic import MINUTE, Repository, Version
from tests.histories.rustic import RusticRepository
from tests.histories.rwm import Rwm
from tests.histories.steps import run

__all__ = ["History", "every_interruption", "generate"]

_HOUR = 60 * MINUTE
_START = 1_767_225_600_000  # 2026-01-01


def generate(
    seed: int,
    *,
    operations: int | None = None,
    clock: ClockModel | None = None,
    repositories: int | None = None,
    rustic: bool | None = None,
    removes_evidence: bool = True,
    interrupts: bool = True,
    removes_locks: bool = True,
    copies: bool = True,
    adopted: bool = False,
    opaque_etags: bool = False,
) -> History:
    """A history from a seed. What is None is chosen at random.

    ``operations`` is their number (5 to 40), ``repositories`` 1 to 3, ``rustic`` whether repositories have no locks.
    ``removes_evidence``: whether RWM prunes or a lifecycle rule expires versions at times. ``interrupts``: whether
    operations are killed. ``removes_locks``: whether locks are removed beside running operations. ``copies``: whether
    other programs copy files into the bucket, a whole repository at its beginning or files that are there.

    Never by chance: ``adopted``, versioning is enabled after the repositories have been used for a while, so there are
    ``null`` versions; ``opaque_etags``, as in :class:`Bucket`.
    """
    rng = random.Random(seed)
    model: ClockModel = rng.choice(CLOCK_MODELS) if clock is None else clock
    bucket = Bucket(
        model,
        rng.getrandbits(32),
        now=_START + rng.randrange(DAY),
        repeats_markers=model == "seconds",
        lists_null_last=model == "seconds",
        opaque_etags=opaque_etags,
    )
    count = repositories or rng.choice([1, 1, 1, 2, 3])
    prefixes = rng.sample(["", "host1/", "host2/", "backups/laptop/"], count)
    without_locks = rng.random() < 0.1 if rustic is None else rustic
    history = History(seed, bucket, [], Rwm(bucket, rng.getrandbits(32)), rng)
    for prefix in sorted(prefixes):
        repository_seed = rng.getrandbits(32)
        if without_locks:
            history.repositories.append(RusticRepository(bucket, prefix, repository_seed))
        else:
            version: Version = rng.choice(["0.14", "0.18"])
            history.repositories.append(Repository(bucket, prefix, repository_seed, version))
    life = Life(
        history, removes_evidence=removes_evidence, interrupts=interrupts, removes_locks=removes_locks, copies=copies
    )
    bucket.versioning = "off" if adopted else "enabled"
    life.begin()
    if adopted:
        life.live(5)
        bucket.versioning = "enabled"
    life.live(rng.randint(5, 40) if operations is None else operations)
    return history


def every_interruption(version: Version, clock: ClockModel = "exact") -> Iterator[History]:
    """A history for each operation and each of its steps: killed after it, or its locks removed after it.

    Before it are two backups, after it ``unlock``, the operation again, a backup and a prune.
    """
    for name, make in OPERATIONS.items():
        for kind in ("killed", "unlocked"):
            for count in range(1, 40):
                history = generate(count, operations=0, clock=clock, repositories=1, rustic=False, copies=False)
                repository, bucket = history.repositories[0], history.bucket
                repository.version = version
                for operation in (repository.backup(3), repository.key_add(), repository.backup(5)):
                    run(bucket, operation)
                bucket.now += _HOUR
                history.log.append(f"{name} of {version}, {kind} after step {count}")
                if kind == "killed":
                    done = len(run(bucket, make(repository), killed_after=count))
                else:
                    done = len(run(bucket, unlocked_after(repository, make(repository), count)))
                if done < count:
                    break
                bucket.now += MINUTE
                for operation in (repository.unlock(), make(repository), repository.backup(2), repository.prune()):
                    run(bucket, operation)
                    bucket.now += MINUTE
                yield history
