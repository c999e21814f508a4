"""Findings about what a state has from after its second: keys that were created while it was captured. Pure.

A capture keeps them, with their oldest version (see :mod:`rwm.states.current`), so that it loses nothing of a running
backup. The time of such a finding is later than that of the state, so the state's entries have to tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rwm.model import Entry, ObjectVersion
from rwm.trust.finding import Finding
from rwm.trust.key_history import KeyHistory
from rwm.trust.key_rules import foreign_name, impossible_content, uncommon_size
from rwm.trust.location_audit import LocationAudit
from rwm.trust.names import Kind, kind_of
from rwm.trust.repository_audit import RepositoryAudit

_RULES = (foreign_name, impossible_content, uncommon_size)
"""The rules about the oldest version of a key."""


def judge_born_later(
    audit: LocationAudit, findings: Sequence[Finding], entries: Iterable[tuple[str, Entry]]
) -> dict[str, list[Finding]]:
    """The findings about entries that states have from after their second, by state id.

    ``findings`` are those listed of the audit; rules that need only the entry are applied to those not listed.
    """
    listed: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.version_id:
            listed[finding.key, finding.version_id].append(finding)
    found: defaultdict[str, list[Finding]] = defaultdict(list)
    for state_id, entry in entries:
        known = listed.get((entry.key, entry.version_id)) or _judge(audit, entry)
        found[state_id] += known
    return found


def _judge(audit: LocationAudit, entry: Entry) -> list[Finding]:
    repository = _repository_of(audit, entry.key)
    if repository is None:
        return []
    kind = kind_of(entry.key[len(repository.root) :])
    if kind is Kind.OTHER:
        return []
    version = ObjectVersion(entry.key, entry.version_id, True, False, entry.size, entry.etag, entry.last_modified)
    history = KeyHistory(repository.root, kind, [version])
    found = [finding for rule in _RULES for finding in rule(history, repository.locks)]
    return [finding for finding in found if finding.rule.code not in audit.settings.except_codes]


def _repository_of(audit: LocationAudit, key: str) -> RepositoryAudit | None:
    """The innermost repository that has the key."""
    above = [one for one in audit.repositories if key.startswith(one.root)]
    return max(above, key=lambda one: len(one.root), default=None)
