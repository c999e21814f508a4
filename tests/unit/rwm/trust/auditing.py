"""Audits of version listings in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rwm.model import ObjectVersion
from rwm.s3.listing import group_by_key
from rwm.trust.captures import Captures
from rwm.trust.finding import Finding, FindingLog
from rwm.trust.keep_policy import KeepPolicy
from rwm.trust.own_changes import OwnChanges
from rwm.trust.repository_audit import PHASES, RepositoryAudit
from rwm.trust.state_file_rules import judge_state_file
from tests.histories.generator import History


def audit_repository(
    versions: Sequence[ObjectVersion],
    root: str = "",
    now: int | None = None,
    retention: Mapping[str, str] | None = None,
    own: OwnChanges | None = None,
) -> RepositoryAudit:
    """The audit of the repository at ``root`` in a listing."""
    now = max((version.last_modified for version in versions), default=0) if now is None else now
    histories = list(group_by_key(versions))
    captures = captures_in(histories)
    histories = [history for history in histories if history[0].key.startswith(root)]
    audit = RepositoryAudit(root, FindingLog(), now, KeepPolicy(retention or {}), own, captures.of(root))
    for phase in PHASES:
        audit.observe(history for history in histories if _is_in(history[0].key[len(root) :], phase))
    audit.finish()
    return audit


def _is_in(name: str, phase: str) -> bool:
    return name.startswith(phase) if phase else name == "config"


def captures_in(histories: Iterable[Sequence[ObjectVersion]]) -> Captures:
    """The captures whose state files are among some keys, each with its entries, newest first."""
    captures = Captures()
    for history in histories:
        captures.add(history[::-1])
    return captures


def audit_history(
    history: History, retention: Mapping[str, str] | None = None, own: OwnChanges | None = None
) -> list[Finding]:
    """All findings in a simulated history."""
    versions = history.versions
    found = [
        finding
        for repository in history.repositories
        for finding in audit_repository(versions, repository.prefix, history.bucket.now, retention, own).log.listed()
    ]
    return found + [finding for entries in group_by_key(versions) for finding in judge_state_file(entries[::-1])]


def proofs(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that are proofs."""
    return [finding for finding in findings if finding.rule.level == "proof"]
