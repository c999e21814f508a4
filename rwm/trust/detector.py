"""All rules in one pass over the version history of a location. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rwm.model import StateInfo
from rwm.trust.interface import KeyEvidence, Rule
from rwm.trust.repositories import Repositories
from rwm.trust.rules import FailedBackup, MissingConfig, OverwrittenContent, ShrunkenRepository, ShrunkenState


class AttackDetector:
    """Applies every rule to the same evidence. ``newest`` is the newest kept state, which an attacker may have left.

    The evidence is of the keys below the location of that state; ``states`` are all of that location, oldest first.

    Called as a rule is: ``observe`` for each key, then ``findings`` once.
    """

    def __init__(self, newest: StateInfo, states: Sequence[StateInfo]) -> None:
        self._repositories = Repositories(newest.prefix)
        self._rules: tuple[Rule, ...] = (
            OverwrittenContent(self._repositories),
            MissingConfig(newest, self._repositories),
            FailedBackup(newest),
            ShrunkenState(newest),
            ShrunkenRepository(newest, states),
        )

    def observe(self, key: KeyEvidence) -> None:
        """Show one key to every rule."""
        self._repositories.observe(key.history[0].key)
        for rule in self._rules:
            rule.observe(key)

    def findings(self, ended: Iterable[StateInfo]) -> list[str]:
        """Return one line for each sign found, in the order of the rules. ``ended`` as in :meth:`Rule.findings`."""
        states = list(ended)
        return [line for rule in self._rules for line in rule.findings(states)]
