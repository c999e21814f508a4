"""Lifecycle rules: which are enabled, and the same ones disabled. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Rule = dict[str, Any]
"""A rule as in the answer of the server."""


def is_enabled(rule: Rule) -> bool:
    """Whether a rule may delete something."""
    return bool(rule.get("Status", "Enabled") == "Enabled")


def disabled(rules: Sequence[Rule]) -> list[Rule]:
    """The rules with none of them enabled."""
    return [{**rule, "Status": "Disabled"} for rule in rules]


def rule_name(rule: Rule) -> str:
    """The name of a rule, for people."""
    return str(rule.get("ID") or "without a name")
