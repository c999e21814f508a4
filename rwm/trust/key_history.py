"""The history of one key of a repository, as rules read it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rwm.model import ObjectVersion
from rwm.phrases import format_count
from rwm.times import SECOND
from rwm.trust.evidence import SLACK
from rwm.trust.finding import Finding, Rule
from rwm.trust.intervals import FOREVER
from rwm.trust.names import Kind


class KeyHistory:
    """All entries of one key of a repository, oldest first. ``root`` is the repository's prefix."""

    def __init__(self, root: str, kind: Kind, entries: Sequence[ObjectVersion]) -> None:
        self.root = root
        self.kind = kind
        self.entries = _by_time(entries) if entries[0].version_id == "null" else entries
        self.key = entries[0].key
        self._written: list[tuple[int, ObjectVersion]] | None = None
        self._removals: list[tuple[int, ObjectVersion]] | None = None

    @property
    def written(self) -> list[tuple[int, ObjectVersion]]:
        """The versions without the markers, with their positions in ``entries``."""
        if self._written is None:  # not by cached_property, whose lock takes as long as a rule
            self._written = [(number, entry) for number, entry in enumerate(self.entries) if not entry.is_marker]
        return self._written

    def replaced_at(self, number: int) -> int:
        """When the entry at a position ceased to be current; FOREVER if it is."""
        following = self.entries[number + 1 : number + 2]
        return following[0].last_modified if following else FOREVER

    def removals(self) -> list[tuple[int, ObjectVersion]]:
        """The delete markers that removed a version which is still there, with their positions.

        A marker without a version before it says nothing: the version may have been pruned, or never have existed.
        """
        if self._removals is None:
            self._removals = [
                (number, entry)
                for number, entry in enumerate(self.entries)
                if entry.is_marker and number and not self.entries[number - 1].is_marker
            ]
        return self._removals

    def restored_at(self, number: int) -> int:
        """When the key was written again after the removal at a position; FOREVER if it was not."""
        return next((entry.last_modified for entry in self.entries[number + 1 :] if not entry.is_marker), FOREVER)

    def finding(self, rule: Rule, number: int, detail: str) -> Finding:
        """A finding about the entry at a position: states contain it from its time until it is replaced."""
        return self._finding(rule, number, detail, self.replaced_at(number))

    def removal_finding(self, rule: Rule, number: int, detail: str) -> Finding:
        """A finding about a removal: states contain it from its time until the key is written again."""
        return self._finding(rule, number, detail, self.restored_at(number))

    def _finding(self, rule: Rule, number: int, detail: str, end: int) -> Finding:
        entry = self.entries[number]
        at = entry.last_modified
        return Finding(rule, self.root, self.key, entry.version_id, at, detail, at, end)


def _by_time(entries: Sequence[ObjectVersion]) -> Sequence[ObjectVersion]:
    """With the first entry, a ``null`` version, after those that are older: SeaweedFS lists it last of its key."""
    null, *others = entries
    older = [number for number, entry in enumerate(others, 1) if entry.last_modified + SLACK < null.last_modified]
    place = older[-1] if older else 0
    return [*others[:place], null, *others[place:]]


def describe_gap(milliseconds: int) -> str:
    """A time difference in its largest unit: ``3 days``."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if (count := milliseconds // (length * SECOND)) > 0:
            return format_count(count, unit)
    return f"{max(0, milliseconds // SECOND)} s"
