"""Trust: the audit, which tells what restic cannot have done from what it does, and which states are clean.

May import the shared modules, ``config``, ``s3``, ``statefile`` and ``restic``. All is pure but ``audit.py``,
``acl_sample.py`` and ``lock_sample.py``, which ask the server.
Begin reading at ``finding.py``: what is found; ``key_rules.py``: rules about one key; ``repository_audit.py``: all of
them in one pass; ``audit.py``: the listing; ``report.py``: the verdicts.
"""

from rwm.trust.acl_sample import add_acl_findings
from rwm.trust.activity import Hour
from rwm.trust.ask_sample import is_admin
from rwm.trust.audit import audit_location
from rwm.trust.captures import Captures
from rwm.trust.evidence import LockHistory
from rwm.trust.finding import Finding, Rule
from rwm.trust.keep_policy import KeepPolicy
from rwm.trust.kept_evidence import SUCCEEDED, KeptEvidence
from rwm.trust.location_audit import AuditSettings, LocationAudit
from rwm.trust.lock_rules import OwnLock
from rwm.trust.lock_sample import add_lock_findings, can_judge_locks
from rwm.trust.missing_versions import Missing, explain_missing
from rwm.trust.names import CONTENT_ADDRESSED, Kind
from rwm.trust.own_changes import OwnChanges
from rwm.trust.report import AuditReport, StateVerdict, contains, make_report
from rwm.trust.roots import RepositoryRoots
from rwm.trust.rules_table import CODES, RULES
from rwm.trust.settings import make_settings
from rwm.trust.snapshot_rules import judge_snapshot_time, snapshot_finding_id

__all__ = [
    "CODES",
    "CONTENT_ADDRESSED",
    "RULES",
    "SUCCEEDED",
    "AuditReport",
    "AuditSettings",
    "Captures",
    "Finding",
    "Hour",
    "KeepPolicy",
    "KeptEvidence",
    "Kind",
    "LocationAudit",
    "LockHistory",
    "Missing",
    "OwnChanges",
    "OwnLock",
    "RepositoryRoots",
    "Rule",
    "StateVerdict",
    "add_acl_findings",
    "add_lock_findings",
    "audit_location",
    "can_judge_locks",
    "contains",
    "explain_missing",
    "is_admin",
    "judge_snapshot_time",
    "make_report",
    "make_settings",
    "snapshot_finding_id",
]
