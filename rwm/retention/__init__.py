"""Retention: which states the keep rules keep, and until when these need a version.

May import the shared modules, ``index``, ``trust``.
Begin reading at ``selection.py``: which states are kept; ``needs.py``: until when they need a version;
``simulation.py``: what the rules will keep; ``audit_judgement.py``: what an audit says against states.
"""

from rwm.retention.audit_judgement import AuditJudgement, describe_ended_last_clean
from rwm.retention.needs import NOT_NEEDED, KeptUntil, keep_forever, needed_versions
from rwm.retention.selection import (
    apply_rules,
    candidates,
    follows_rule,
    judge_by,
    recorded_clean_states,
    select_kept_states,
)
from rwm.retention.simulation import Simulation, future_times, simulate

__all__ = [
    "NOT_NEEDED",
    "AuditJudgement",
    "KeptUntil",
    "Simulation",
    "apply_rules",
    "candidates",
    "describe_ended_last_clean",
    "follows_rule",
    "future_times",
    "judge_by",
    "keep_forever",
    "needed_versions",
    "recorded_clean_states",
    "select_kept_states",
    "simulate",
]
