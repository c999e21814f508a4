"""What an attacker with the machine's keys and the restic password adds to a history: all attacks by name.

Attacks that leave nothing in a version listing (ACLs, reads, unfinished uploads, object locks) are not here.

    history = generate(seed)
    trace = attack(history, "delete one pack")

An attack begins an hour after the last operation, when no lock is held, so what it does is its own doing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rwm.times import SECOND
from tests.histories import content_attacks, removal_attacks, restic_attacks
from tests.histories.attack import ATTACKS, LEVELS, Attack, Expected, Target, Trace
from tests.histories.content_attacks import HOSTILE_NAMES
from tests.histories.generator import History

__all__ = [
    "ATTACKS",
    "HOSTILE_NAMES",
    "LEVELS",
    "Attack",
    "Expected",
    "Target",
    "Trace",
    "attack",
    "highest",
]

_MODULES = (removal_attacks, content_attacks, restic_attacks)  # importing them fills ATTACKS

_HOUR = 3600 * SECOND


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
