"""All rules of the audit: their codes, levels and reasons. Pure."""

from __future__ import annotations

from rwm.trust import (
    acl_rules,
    hint_rules,
    key_rules,
    lock_rules,
    report,
    repository_rules,
    snapshot_rules,
    state_file_rules,
    unknown_key_rules,
)
from rwm.trust.finding import Rule

_MODULES = (
    key_rules,
    repository_rules,
    hint_rules,
    snapshot_rules,
    state_file_rules,
    unknown_key_rules,
    lock_rules,
    acl_rules,
    report,
)

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            value
            for module in _MODULES
            for name, value in vars(module).items()
            if isinstance(value, Rule) and name.isupper()
        ),
        key=lambda rule: (rule.level != "proof", rule.code),
    )
)
"""Proofs first, by code."""

CODES = frozenset(rule.code for rule in RULES)
