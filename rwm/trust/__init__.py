"""Trust: the audit, which tells what restic cannot have done from what it does, and which states are clean.

May import the shared modules, ``config``, ``s3``, ``statefile`` and ``restic``. All but ``audit.py`` is pure.
Begin reading at ``finding.py``: what is found; ``key_rules.py``: rules about one key; ``repository_audit.py``: all of
them in one pass; ``report.py``: the verdicts.
"""

from rwm.trust.audit import AuditSettings, LocationAudit, audit_location
from rwm.trust.detector import AttackDetector
from rwm.trust.finding import Finding, Rule
from rwm.trust.interface import KeyEvidence
from rwm.trust.report import AuditReport, StateVerdict, make_report
from rwm.trust.rules_table import CODES, RULES
from rwm.trust.settings import make_settings

__all__ = [
    "CODES",
    "RULES",
    "AttackDetector",
    "AuditReport",
    "AuditSettings",
    "Finding",
    "KeyEvidence",
    "LocationAudit",
    "Rule",
    "StateVerdict",
    "audit_location",
    "make_report",
    "make_settings",
]
