"""What an audit finds. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rwm.model import Acknowledgement
from rwm.times import SECOND
from rwm.trust.intervals import FOREVER, Intervals

Level = Literal["proof", "hint"]
"""``proof``: restic cannot have done it. ``hint``: unusual, but it may be honest."""

MAX_LISTED = 1000
"""Findings of one code that are listed for one repository; all are counted."""


class Rule(NamedTuple):
    """A rule of the audit: its code, its level, what it looks for, and why restic does not do that."""

    code: str
    level: Level
    what: str
    why: str


class Finding(NamedTuple):
    """One finding. ``key`` and ``version_id`` are empty for one about the whole repository; ``at`` in milliseconds.

    What it means for states: from ``start`` on, before ``end``, a state contains the consequence.
    """

    rule: Rule
    root: str
    key: str
    version_id: str
    at: int
    detail: str
    start: int
    end: int = FOREVER

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, the same in every audit."""
        text = "\0".join((self.rule.code, self.root, self.key, self.version_id, str(self.at)))
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


IN_NO_STATE = (FOREVER, 0)
"""``start`` and ``end`` of a finding of which states have no consequence."""


def about_directory(rule: Rule, root: str, name: str, detail: str, start: int, end: int = FOREVER) -> Finding:
    """A finding about a directory of the repository at ``root``, as of ``start``."""
    return Finding(rule, root, f"{root}{name}/", "", start, detail, start, end)


def is_acknowledged(finding: Finding, acknowledged: Mapping[str, Acknowledgement]) -> bool:
    """Whether a person has judged a finding, by its code or id, in an acknowledgement that is not older than it."""
    judged = (acknowledged.get(what) for what in (finding.rule.code, finding.id)) if acknowledged else ()
    return any(one is not None and finding.at <= one.until for one in judged)


@dataclass
class FindingLog:
    """The findings of one repository: the first of each code in detail, all counted, and when states contain them.

    Findings with ``except_codes`` are ignored. Memory does not grow with the number of findings.
    """

    acknowledged: Mapping[str, Acknowledgement] = field(default_factory=dict)
    except_codes: frozenset[str] = frozenset()
    until: int = FOREVER
    """Findings of later times are ignored, in milliseconds."""
    counts: dict[str, int] = field(default_factory=dict)
    proofs: int = 0
    """Proofs that are not acknowledged; :attr:`first_proof` and :attr:`last_proof` are the times of the outer ones."""
    first_proof: int = FOREVER
    last_proof: int = 0
    suspect: Intervals = field(default_factory=Intervals)
    questionable: Intervals = field(default_factory=Intervals)
    _listed: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Count a finding, and note its consequence unless it is acknowledged."""
        code = finding.rule.code
        if code in self.except_codes or finding.at > self.until:
            return
        count = self.counts[code] = self.counts.get(code, 0) + 1
        if count <= MAX_LISTED:
            self._listed.setdefault(code, []).append(finding)
        if self.acknowledged and is_acknowledged(finding, self.acknowledged):
            return
        if finding.rule.level == "proof":
            self.proofs += 1
            self.first_proof = min(self.first_proof, finding.at)
            self.last_proof = max(self.last_proof, finding.at)
        last = finding.end - SECOND  # a state is as of the end of its second
        if finding.start // SECOND <= last // SECOND:
            consequence = self.suspect if finding.rule.level == "proof" else self.questionable
            consequence.add(finding.start, last)

    def listed(self) -> Iterator[Finding]:
        """The findings that are kept in detail, by time."""
        yield from sorted((item for items in self._listed.values() for item in items), key=lambda item: item.at)
