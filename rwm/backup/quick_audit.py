"""The quick audit after a run: what the machine's own keys can see of an attack, cheaply."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from rwm.config import Config
from rwm.index import Index
from rwm.model import StateInfo, Verdict
from rwm.s3 import S3
from rwm.storage import own_changes
from rwm.trust import Finding, LocationAudit, audit_location, make_settings

SMALL = 10_000
"""Objects of a state up to which packs are audited too: some ten requests more."""

MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class QuickAudit:
    """What an audit found that nobody has acknowledged: the numbers of proofs and hints, and the first findings.

    ``has_packs``: whether packs were audited too, which are almost all objects of a repository.
    """

    verdict: Verdict
    has_packs: bool
    proofs: int
    hints: int
    findings: tuple[Finding, ...] = ()


def audit_quickly(s3: S3, index: Index, config: Config, state: StateInfo) -> QuickAudit | None:
    """Audit the location of a state that was captured now; None if there is no repository.

    Raises ConfigError, and the errors of the listing and of the index.
    """
    own = own_changes(s3, index, state.location)
    settings = make_settings(config, index.audits.acknowledged(state.location), own)
    has_packs = state.objects <= SMALL
    audit = audit_location(s3, state.location, settings, packs=has_packs)
    return summarise(audit, has_packs=has_packs) if audit.repositories else None


def summarise(audit: LocationAudit, *, has_packs: bool) -> QuickAudit:
    """What to report of an audit; proofs come first. Pure."""
    found = [finding for finding in audit.findings() if not audit.is_acknowledged(finding)]
    found.sort(key=lambda finding: finding.rule.level != "proof")
    hints = sum(finding.rule.level == "hint" for finding in found)
    return QuickAudit(audit.verdict_now(), has_packs, audit.proofs, hints, tuple(islice(found, MAX_FINDINGS)))
