"""An attack on a history: what it does, which keys it concerns, and what an audit should say."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from tests.histories.bucket import Bucket
from tests.histories.restic import KINDS, Repository
from tests.histories.steps import Operation, run

Expected = Literal["proof", "hint", "nothing"]
"""What an audit should say:

- ``proof``: at least one finding of this level for one of the keys of the trace, at or after its time;
- ``hint``: no proof, because restic or a person could have done it; a hint is wanted;
- ``nothing``: no proof, and a listing cannot show it. A hint would be more than is expected.
"""

LEVELS: tuple[Expected, ...] = ("nothing", "hint", "proof")


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
"""All attacks by name, once :mod:`tests.histories.attacks` is imported."""


def registers(number: int, expected: Expected, why: str, *, restic_only: bool = False) -> Callable[[Act], Act]:
    """Add the decorated function to :data:`ATTACKS`; its name, with spaces, is that of the attack."""

    def register(act: Act) -> Act:
        name = act.__name__.replace("_", " ")
        ATTACKS[name] = Attack(name, number, expected, why, act, restic_only)
        return act

    return register
