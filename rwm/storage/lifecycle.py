"""Lifecycle rules: which are enabled, which may touch versions, and the same ones disabled. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Rule = dict[str, Any]
"""A rule as in the answer of the server."""


_ABORT = "AbortIncompleteMultipartUpload"
"""An action that touches no version: `rwm prune` aborts unfinished uploads too."""
_HARMLESS = {"ID", "Status", "Filter", "Prefix", _ABORT}


def is_enabled(rule: Rule) -> bool:
    """Whether a rule does something."""
    return bool(rule.get("Status", "Enabled") == "Enabled")


def touches_versions(rule: Rule) -> bool:
    """Whether a rule may delete or archive versions: one that is enabled, and does not only abort uploads."""
    return is_enabled(rule) and not (_ABORT in rule and rule.keys() <= _HARMLESS)


def disabled(rules: Sequence[Rule], which: Callable[[Rule], bool] = lambda rule: True) -> list[Rule]:
    """The rules, of which those that are meant are disabled."""
    return [{**rule, "Status": "Disabled"} if which(rule) else rule for rule in rules]


def rule_name(rule: Rule) -> str:
    """The name of a rule, for people."""
    return str(rule.get("ID") or "without a name")
