"""What people and timers do with repositories in a bucket, at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from rwm.model import ObjectVersion
from rwm.times import DAY, SECOND
from tests.histories.bucket import Bucket
from tests.histories.restic import CONFIG_SIZE, MINUTE, Repository
from tests.histories.rustic import RusticRepository
from tests.histories.rwm import Rwm, expire_noncurrent
from tests.histories.steps import Operation, Start, run, run_together

_HOUR = 60 * MINUTE


@dataclass
class History:
    """An honest history. ``log`` says what was done, one line an event, for the message of a failed test."""

    seed: int
    bucket: Bucket
    repositories: list[Repository]
    rwm: Rwm
    random: random.Random
    log: list[str] = field(default_factory=list)

    @property
    def versions(self) -> list[ObjectVersion]:
        """The version listing."""
        return self.bucket.listing()

    def make_quiet(self) -> None:
        """Remove all locks (``unlock``) and let an hour pass, so that no operation is running."""
        for repository in self.repositories:
            run(self.bucket, repository.unlock(remove_all=True))
        self.bucket.now += _HOUR

    def go_on(self, operations: int) -> None:
        """Let the same people work on for so many more operations, without interruptions."""
        Life(self).live(operations)


OPERATIONS: dict[str, Callable[[Repository], Operation]] = {
    "backup": lambda r: r.backup(4),
    "long backup": lambda r: r.backup(4, duration=12 * MINUTE),
    "tag": lambda r: r.tag(2),
    "rewrite --forget": lambda r: r.rewrite(2, forget=True),
    "forget": lambda r: r.forget(1),
    "prune": lambda r: r.prune(repack=2),
    "forget --prune": lambda r: r.forget_prune(1, repack=1),
    "forget all --prune": lambda r: r.forget_prune(0),
    "rebuild-index": lambda r: r.rebuild_index(),
    "repair packs": lambda r: r.repair_packs(),
    "recover": lambda r: r.recover(repairs_index=True),
    "key passwd": lambda r: r.key_passwd(),
    "key remove": lambda r: r.key_remove(),
    "migrate": lambda r: r.migrate(),
    "copy": lambda r: r.copy_into(2),
}
"""Operations that write, by name."""


def unlocked_after(repository: Repository, operation: Operation, count: int) -> Operation:
    """The operation, with all locks removed by another host after so many of its steps."""
    for step in operation:
        yield step
        count -= step.action != "wait"
        if count == 0:
            yield from repository.unlock(remove_all=True)


class Life:
    """People and timers that work with a bucket."""

    def __init__(
        self,
        history: History,
        *,
        removes_evidence: bool = False,
        interrupts: bool = False,
        removes_locks: bool = False,
        copies: bool = False,
    ) -> None:
        self.history = history
        self.bucket = history.bucket
        self.random = history.random
        self.removes_evidence = removes_evidence and self.random.random() < 0.4
        self.keeps_locks = self.random.random() < 0.6
        self.interrupts = interrupts and self.random.random() < 0.7
        self.removes_locks = removes_locks and self.random.random() < 0.7
        self.copies = copies
        self.retries = self.random.choice([0.0, 0.0, 0.01, 0.1])
        self.has_rwm = self.random.random() < 0.6
        self.pause = self.random.choice([MINUTE, _HOUR, DAY, 10 * DAY])
        """About how long nothing happens between two operations."""

    def begin(self) -> None:
        """Create the repositories, or import existing ones; put other files beside them."""
        for repository in self.history.repositories:
            self._pass_time()
            if self.copies and self.random.random() < 0.1:
                self._import(repository)
                continue
            if self.interrupts and self.random.random() < 0.1:
                self._note("init killed", repository)
                run(self.bucket, repository.init(), killed_after=1)
            self._note("init", repository)
            run(self.bucket, repository.init())
        if self.random.random() < 0.3:
            self._other_files()

    def live(self, operations: int) -> None:
        """Do so many things, one or several at a time."""
        for _ in range(operations):
            self._pass_time()
            repository = self.random.choice(self.history.repositories)
            chosen = self.random.random()
            if chosen < 0.60:
                self._one(repository)
            elif chosen < 0.72:
                self._several()
            elif chosen < 0.80 and self.removes_locks:
                self._unlock_beside(repository)
            elif chosen < 0.85 and self.removes_evidence:
                self._remove_evidence()
            elif chosen < 0.87:
                self._other_files()
            elif chosen < 0.88 and self.copies:
                self._upload_again(repository)
            else:
                self._timer(repository)

    # --- single things -------------------------------------------------------------------------------

    def _one(self, repository: Repository) -> None:
        """One operation, which may be killed and then repeated."""
        name, make = self._choose(repository)
        killed_after = self.random.randint(1, 12) if self.interrupts and self.random.random() < 0.25 else None
        self._note(f"{name}{'' if killed_after is None else f' killed after {killed_after}'}", repository)
        run(self.bucket, self._retried(make()), killed_after=killed_after)
        if killed_after is not None and self.random.random() < 0.8:
            self.bucket.now += self.random.choice([SECOND, MINUTE, _HOUR, DAY])
            if self.random.random() < 0.7:
                self._note("unlock", repository)
                run(self.bucket, repository.unlock())
            self._note(f"{name} again", repository)
            run(self.bucket, make())

    def _several(self) -> None:
        """Operations of several hosts and repositories that overlap."""
        starts = []
        for _ in range(self.random.randint(2, 4)):
            repository = self.random.choice(self.history.repositories)
            name, make = self._choose(repository)
            at = self.bucket.now + self.random.randrange(self.random.choice([10, SECOND, 5 * MINUTE]))
            killed_after = self.random.randint(1, 12) if self.interrupts and self.random.random() < 0.1 else None
            self._note(f"{name} at {at}, killed after {killed_after}", repository)
            starts.append(Start(at, self._retried(make()), killed_after))
        run_together(self.bucket, starts)

    def _unlock_beside(self, repository: Repository) -> None:
        """``unlock --remove-all`` beside an operation, which goes on."""
        name, make = self._choose(repository)
        self._note(f"{name} beside unlock --remove-all", repository)
        if self.random.random() < 0.6:
            run(self.bucket, unlocked_after(repository, make(), self.random.randint(1, 12)))
            return
        at = self.bucket.now + self.random.randrange(self.random.choice([SECOND, 10 * SECOND, 20 * MINUTE]))
        starts = [Start(self.bucket.now, make()), Start(at, repository.unlock(remove_all=True))]
        if self.random.random() < 0.3:
            other, make = self._choose(repository)
            self._note(f"and {other}", repository)
            starts.append(Start(at + 100, make()))
        run_together(self.bucket, starts)

    def _timer(self, repository: Repository) -> None:
        """What a timer does each night: back up, forget, prune, check; then RWM captures."""
        self._note("a night", repository)
        run(self.bucket, repository.unlock())
        run(self.bucket, self._retried(repository.backup(self.random.randint(0, 5))))
        if self.has_rwm:
            self.history.rwm.capture(repository.prefix)
        run(self.bucket, repository.forget_prune(self.random.randint(1, 5), repack=self.random.randint(0, 2)))
        if self.random.random() < 0.3:
            run(self.bucket, repository.check())
        if self.has_rwm and self.random.random() < 0.2:  # an admin, of the whole bucket
            self.history.rwm.capture()

    def _choose(self, repository: Repository) -> tuple[str, Callable[[], Operation]]:
        """An operation, by how often people use it."""
        r, rng = repository, self.random
        repository.version = rng.choice(["0.14", "0.18"]) if rng.random() < 0.1 else repository.version
        packs = rng.choice([0, 1, 2, 3, 5, 12])
        duration = rng.choice([None, None, None, MINUTE, 7 * MINUTE, 3 * _HOUR])
        keep, repack, count = rng.choice([0, 1, 1, 2, 3, 5, 10]), rng.randint(0, 3), rng.randint(1, 3)
        choices: list[tuple[int, str, Callable[[], Operation]]] = [
            (30, "backup", lambda: r.backup(packs, duration=duration)),
            (8, "read", lambda: r.read(duration or SECOND)),
            (4, "check", lambda: r.check(duration or SECOND)),
            (4, "forget", lambda: r.forget(keep)),
            (6, "prune", lambda: r.prune(repack=repack)),
            (10, "forget --prune", lambda: r.forget_prune(keep, repack=repack)),
            (2, "tag", lambda: r.tag(count)),
            (2, "rewrite", lambda: r.rewrite(count, forget=rng.random() < 0.7)),
            (2, "rebuild-index", lambda: r.rebuild_index()),
            (1, "repair packs", lambda: r.repair_packs(count)),
            (1, "repair snapshots", lambda: r.repair_snapshots(count)),
            (1, "recover", lambda: r.recover(repairs_index=rng.random() < 0.5)),
            (2, "key add", lambda: r.key_add()),
            (2, "key remove", lambda: r.key_remove()),
            (2, "key passwd", lambda: r.key_passwd()),
            (2, "copy", lambda: r.copy_into(count)),
            (3, "unlock", lambda: r.unlock()),
        ]
        if isinstance(r, RusticRepository):
            choices.append((1, "set option", r.set_option))
        elif not r.is_migrated:
            choices.append((1, "migrate", r.migrate))
        _, name, make = rng.choices(choices, [choice[0] for choice in choices])[0]
        return name, make

    def _retried(self, operation: Operation) -> Operation:
        """The operation with some requests sent twice, because their answers were lost."""
        for step in operation:
            yield step
            if step.action != "wait" and self.random.random() < self.retries:
                yield step._replace(delay=self.random.randint(50, 15 * SECOND))

    # --- beside restic -------------------------------------------------------------------------------

    def _remove_evidence(self) -> None:
        """RWM's prune, or a lifecycle rule that expires noncurrent versions."""
        if self.history.rwm.states and self.random.random() < 0.7:
            keep, min_age = self.random.randint(1, 3), self.random.choice([0, 0, DAY, 30 * DAY])
            if self.keeps_locks:
                removed = self.history.rwm.prune(keep, min_age=min_age)
            else:
                removes_markers = self.random.random() < 0.8
                removed = self.history.rwm.drop_versions(keep, min_age=min_age, removes_markers=removes_markers)
            program = "rwm prune" if self.keeps_locks else "another program"
            self.history.log.append(f"{program} keeps {keep} states: {removed} removed")
        else:
            age = self.random.choice([DAY, 30 * DAY])
            removed = expire_noncurrent(self.bucket, age, removes_markers=self.random.random() < 0.5)
            self.history.log.append(f"lifecycle: {removed} removed")

    def _other_files(self) -> None:
        """Files beside the repositories: written, overwritten and removed as people like."""
        self.history.log.append("other files")
        for _ in range(self.random.randint(1, 5)):
            key = self.random.choice(["README.txt", "photos/data/a.jpg", "photos/index/b", "dump.sql", "photos/ü.jpg"])
            if self.random.random() < 0.7:
                self.bucket.put(key, self.random.randrange(10_000), str(self.random.random()))
            else:
                self.bucket.delete(key)
            self.bucket.now += self.random.randrange(_HOUR)

    def _import(self, repository: Repository) -> None:
        """A repository that lay elsewhere is copied into the bucket: no locks, any order, perhaps in parts."""
        self._note("import", repository)
        packs = [repository.new_name("data") for _ in range(self.random.randint(1, 20))]
        index, snapshot = repository.new_name("index"), repository.new_name("snapshots")
        repository.packs_of[index] = repository.used_by[snapshot] = tuple(packs)
        sizes = {pack: self.random.randint(290, 20 << 20) for pack in packs}
        sizes |= {repository.config: CONFIG_SIZE, index: 4000, snapshot: 300, repository.new_name("keys"): 440}
        keys = list(sizes)
        self.random.shuffle(keys)
        for key in keys:
            self.bucket.put(key, sizes[key], parts=self._parts(sizes[key]))
            self.bucket.now += self.random.randrange(SECOND)

    def _upload_again(self, repository: Repository) -> None:
        """A program that copies buckets writes files once more, with the same content, in one request or in parts."""
        self._note("uploaded again", repository)
        for pack in repository.files("data")[:3]:
            size = self.bucket.history(pack)[-1].size
            self.bucket.put(pack, size, parts=self._parts(size))
            self.bucket.now += self.random.randrange(SECOND)

    def _parts(self, size: int) -> int:
        return -(-size // (8 << 20)) if size > 8 << 20 and self.random.random() < 0.5 else 0

    def _pass_time(self) -> None:
        self.bucket.now += self.random.randrange(10, 2 * self.pause)

    def _note(self, what: str, repository: Repository) -> None:
        self.history.log.append(f"{self.bucket.now} {repository.prefix or '/'} {what}")
