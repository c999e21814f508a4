"""All rules in one pass over the version history of a bucket. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rwm.model import StateInfo
from rwm.trust.interface import KeyEvidence, Rule
from rwm.trust.rules import FailedBackup, MissingConfig, OverwrittenContent, ShrunkenState


class AttackDetector:
    """Applies every rule to the same evidence. ``newest`` is the newest kept state, which an attacker may have left.

    Called as a rule is: ``observe`` for each key, then ``findings`` once.
    """

    def __init__(self, newest: StateInfo) -> None:
        self._rules: tuple[Rule, ...] = (
            OverwrittenContent(),
            MissingConfig(newest),
            FailedBackup(newest),
            ShrunkenState(newest),
        )

    def observe(self, key: KeyEvidence) -> None:
        """Show one key to every rule."""
        for rule in self._rules:
            rule.observe(key)

    def findings(self, ended: Iterable[StateInfo]) -> list[str]:
        """Return one line for each sign found, in the order of the rules. ``ended`` as in :meth:`Rule.findings`."""
        states = list(ended)
        return [line for rule in self._rules for line in rule.findings(states)]
