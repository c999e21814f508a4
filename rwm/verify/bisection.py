"""Find the newest state on which a check passes, by bisection. Pure.

The assumption: what is wrong once stays wrong, so all states before the newest one that passes do pass too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rwm.model import StateInfo

Outcome = Literal["passed", "failed", "crashed"]
"""``crashed``: the program that checks was ended by a signal on the state. It counts as failed."""


class CheckedState(NamedTuple):
    """What a check said of a state. ``recorded``: it is from an earlier run."""

    info: StateInfo
    outcome: Outcome
    recorded: bool = False


@dataclass
class Bisection:
    """The result: the states that were searched, oldest first, and the checks in the order in which they were made."""

    states: Sequence[StateInfo]
    checks: list[CheckedState] = field(default_factory=list)

    @property
    def newest_passing(self) -> StateInfo | None:
        """The newest state on which the check passes."""
        passed = {check.info.id for check in self.checks if check.outcome == "passed"}
        return next((info for info in reversed(self.states) if info.id in passed), None)

    @property
    def oldest_failing(self) -> StateInfo | None:
        """The oldest state after it on which the check is known to fail."""
        later = self.states[self._position(self.newest_passing) + 1 :]
        failed = {check.info.id for check in self.checks if check.outcome != "passed"}
        return next((info for info in later if info.id in failed), None)

    @property
    def contradicts_assumption(self) -> bool:
        """Whether the check fails on a state that is older than one on which it passes."""
        newest = self._position(self.newest_passing)
        return any(check.outcome != "passed" and self._position(check.info) < newest for check in self.checks)

    def _position(self, info: StateInfo | None) -> int:
        return -1 if info is None else next(n for n, one in enumerate(self.states) if one.id == info.id)


def bisect_states(
    states: Sequence[StateInfo], known: Mapping[str, Outcome], check: Callable[[StateInfo], Outcome]
) -> Bisection:
    """Find the newest of the states, which come oldest first, on which the check passes.

    ``known`` are outcomes of earlier runs by state id. At most ⌈log2 n⌉ + 1 checks are made: the newest state first,
    which usually passes.
    """
    found = Bisection(states)
    found.checks += [CheckedState(info, known[info.id], recorded=True) for info in states if info.id in known]
    outcomes = [known.get(info.id) for info in states]
    passing = max((n for n, outcome in enumerate(outcomes) if outcome == "passed"), default=-1)
    later = range(passing + 1, len(states))
    failing = min((n for n in later if outcomes[n] is not None), default=len(states))
    while failing - passing > 1:
        middle = failing - 1 if failing == len(states) else (passing + failing) // 2
        outcome = check(states[middle])
        found.checks.append(CheckedState(states[middle], outcome))
        if outcome == "passed":
            passing = middle
        else:
            failing = middle
    return found
