"""What a bucket policy says, as a set of grants: however its statements are written, equal policies are equal. Pure."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from rwm.s3 import Policy

NOBODY = "(nobody)"
"""The principal of a statement that names none."""


class Grant(NamedTuple):
    """One combination of the lists of a statement. Sids have no meaning and are left out.

    An inverse element keeps its name and all of its values (``NotResource:["a", "b"]``): what it excludes cannot be
    divided among several statements.
    """

    effect: str
    principal: str
    action: str
    resource: str
    condition: str

    def __str__(self) -> str:
        text = f"{self.effect} {self.action} on {self.resource} to {self.principal}"
        return text + (f" if {self.condition}" if self.condition else "")


def statements(policy: Policy | None) -> list[Any]:
    """The statements of a policy as they are; servers may write a list of one element as that element."""
    found = (policy or {}).get("Statement", [])
    return found if isinstance(found, list) else [found]


def grants(policy: Policy) -> set[Grant]:
    """Every grant of a policy; its statements may use strings or lists, ``*``, and the ``Not…`` elements."""
    found: set[Grant] = set()
    for statement in _as_dicts(policy):
        effect, condition = str(statement.get("Effect", "?")), _condition(statement)
        actions, resources = _values(statement, "Action", lower=True), _values(statement, "Resource")
        for principal in _principals(statement):
            found.update(
                Grant(effect, principal, action, resource, condition) for action in actions for resource in resources
            )
    return found


def principals(policy: Policy) -> set[str]:
    """Every principal in the policy; :data:`NOBODY` for a statement without one."""
    return {principal for statement in _as_dicts(policy) for principal in _principals(statement)}


def same_policy(one: Policy | None, other: Policy | None) -> bool:
    """Whether both grant and deny the same. Servers may write a list of one element as a string."""
    return (one is None) == (other is None) and grants(one or {}) == grants(other or {})


def _as_dicts(policy: Policy) -> list[dict[str, Any]]:
    return [item if isinstance(item, dict) else {"Effect": f"? {item!r}"} for item in statements(policy)]


def _as_list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _values(statement: dict[str, Any], name: str, *, lower: bool = False) -> list[str]:
    """The strings of the elements ``name`` and ``Not<name>``. Action names are case-insensitive."""
    found = _as_list(statement[name]) if name in statement else []
    if f"Not{name}" in statement:
        found.append(f"Not{name}:{_joined(_as_list(statement[f'Not{name}']))}")
    return [value.lower() if lower else value for value in found] or [f"(no {name})"]


def _principals(statement: dict[str, Any]) -> list[str]:
    found = []
    if "Principal" in statement:
        found += _names(statement["Principal"])
    if "NotPrincipal" in statement:
        found.append(f"NotPrincipal:{_joined(_names(statement['NotPrincipal']))}")
    return found or [NOBODY]


def _names(value: Any) -> list[str]:
    """The names in the value of ``Principal``; those of other kinds than AWS keep their kind."""
    if not isinstance(value, dict):
        return [] if value is None else _as_list(value)
    return [name if kind == "AWS" else f"{kind}:{name}" for kind, names in value.items() for name in _as_list(names)]


def _joined(values: list[str]) -> str:
    """Canonical text of a list; a single value as it is."""
    return values[0] if len(set(values)) == 1 else json.dumps(sorted(set(values)), ensure_ascii=False)


def _condition(statement: dict[str, Any]) -> str:
    """Canonical text of a condition: lists sorted, without duplicates."""
    condition = statement.get("Condition")
    if not condition:
        return ""
    if isinstance(condition, dict):
        condition = {operator: _condition_values(test) for operator, test in condition.items()}
    return json.dumps(condition, sort_keys=True)


def _condition_values(test: Any) -> Any:
    return {key: sorted(set(_as_list(value))) for key, value in test.items()} if isinstance(test, dict) else test
