"""What RWM itself did to a repository, by trusted records, so that the audit does not take it for an attack. Pure.

A copy is as good as what was copied, so it is explained only if nothing speaks against its source. A delete marker is
explained unless a removal of the same key before it was found to be wrong. A delete marker that RWM removed is judged
as if it were there, until RWM removed it: the history keeps what an attacker did.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from rwm.model import ObjectVersion, OwnChange
from rwm.trust.finding import Finding, Level
from rwm.trust.key_grouping import LongHistory

_AGAIN = "undeleted "
"""Before its version id: an entry that stands for a version which is current again. No server gives such an id."""


class OwnChanges:
    """Copies and delete markers that RWM wrote, and delete markers that it removed.

    Versions are held as 64-bit hashes: server-chosen ids and a secret of this process are in them, so nobody can make
    a version with the hash of another one.
    """

    def __init__(self, changes: Iterable[OwnChange] = ()) -> None:
        copies: list[int] = []
        markers, removed = array("q"), []
        for at, change in changes:
            if change.did == "copied":
                copies.append(_pair(hash((change.key, change.version_id)), hash((change.key, change.source))))
            elif change.did == "marked":
                markers.append(hash((change.key, change.version_id)))
            elif change.did == "unmarked":
                removed.append((hash(change.key), change.at, change.version_id, at))
        copies.sort()
        self._copies = array("q", (pair >> 64 for pair in copies))
        self._sources = array("q", (_signed(pair) for pair in copies))
        self._markers = array("q", sorted(markers))
        self._removed = sorted(removed)

    def __bool__(self) -> bool:
        return bool(self._copies or self._markers or self._removed)

    def is_own(self, key: str, version_id: str) -> bool:
        """Whether RWM wrote this version or delete marker."""
        number = hash((key, version_id))
        return version_id.startswith(_AGAIN) or _contains(self._markers, number) or _contains(self._copies, number)

    def is_copy(self, key: str, version_id: str, source: str) -> bool:
        """Whether RWM wrote the version as a copy of another one of the key, or as a copy of a copy of it."""
        return self._source(key, version_id) == hash((key, source))

    def as_it_was(self, entries: Sequence[ObjectVersion]) -> Sequence[ObjectVersion]:
        """The entries of a key, newest first, with the delete markers that RWM removed and the end of each."""
        start = bisect_left(self._removed, (hash(entries[0].key),)) if self._removed else 0
        markers = []
        while start < len(self._removed) and self._removed[start][0] == hash(entries[0].key):
            markers.append(self._removed[start])
            start += 1
        if not markers or isinstance(entries, LongHistory):
            return entries
        result = list(entries)
        for _, marked_at, version_id, removed_at in markers:
            position = next((n for n, entry in enumerate(result) if entry.last_modified <= marked_at), len(result))
            below = next((entry for entry in result[position:] if not entry.is_marker), None)
            if below is None:
                continue
            marker = ObjectVersion(below.key, version_id, False, True, 0, "", marked_at)
            if not (position and result[position - 1].version_id.startswith(_AGAIN)):
                time = max(removed_at, marked_at)  # of one second, of which an operation has the beginning
                result.insert(position, below._replace(version_id=_AGAIN + below.version_id, last_modified=time))
                position += 1
            result.insert(position, marker)
        return result

    def unexplained(self, findings: Iterable[Finding], entries: Iterable[ObjectVersion]) -> list[Finding]:
        """The findings about a key that are not about what RWM did."""
        found = list(findings)
        if not self or not found:
            return found
        markers = {entry.version_id for entry in entries if entry.is_marker}
        others = [each for each in found if not self.is_own(each.key, each.version_id)]
        against: dict[int, list[Level]] = {}
        for each in others:
            against.setdefault(hash((each.key, each.version_id)), []).append(each.rule.level)
        removals = [(each.at, each.rule.level) for each in others if each.version_id in markers]

        def inherited(finding: Finding) -> list[Level]:
            """How serious is what speaks against the source of a copy, or against the removals before a marker."""
            if finding.version_id in markers:
                return [level for at, level in removals if at <= finding.at]
            return against.get(self._source(finding.key, finding.version_id), [])

        def is_explained(finding: Finding) -> bool:
            if not self.is_own(finding.key, finding.version_id):
                return False
            levels = inherited(finding)
            return "proof" not in levels and finding.rule.level not in levels

        return [each for each in found if not is_explained(each)]

    def _source(self, key: str, version_id: str) -> int:
        """The version of which this one is a copy, of a copy, and so on."""
        number = hash((key, version_id.removeprefix(_AGAIN)))
        for _ in range(len(self._copies)):
            position = bisect_left(self._copies, number)
            if position == len(self._copies) or self._copies[position] != number:
                break
            number = self._sources[position]
        return number


def _contains(numbers: array[int], number: int) -> bool:
    position = bisect_left(numbers, number)
    return position < len(numbers) and numbers[position] == number


def _pair(first: int, second: int) -> int:
    """Two numbers as one, which sorts by the first: pairs would take three times the memory."""
    return first << 64 | second & (1 << 64) - 1


def _signed(pair: int) -> int:
    low = pair & (1 << 64) - 1
    return low - (1 << 64) if low >> 63 else low
