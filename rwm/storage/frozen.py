"""The policy of a frozen bucket: what it was, and a deny of everything that writes. Pure.

The former statements stay, so what is denied stays denied, and a freeze can be undone without a record of it. Allow
statements for anybody (``*``, an account) are left out: a frozen machine could use them without its keys.
"""

from __future__ import annotations

from typing import Any

from rwm.model import Freeze, FrozenUser
from rwm.s3 import Policy
from rwm.storage.grants import Grant, grants, principals, statements
from rwm.storage.policy import make_statement

WRITE_ACTIONS = ("s3:Put*", "s3:Delete*", "s3:Abort*", "s3:Bypass*", "s3:Restore*")
"""Every action that changes something. Ceph RGW refuses a pattern that matches no action that it knows."""

WRITES_SID, ALL_SID = "RwmFrozenWrites", "RwmFrozenAll"


def frozen_policy(freeze: Freeze) -> Policy | None:
    """The policy that a bucket should have while its users are frozen; the former one if there are none."""
    if not freeze.users:
        return freeze.policy
    found = [kept for each in statements(freeze.policy) if (kept := _without_anybody(each))]
    resources = [f"arn:aws:s3:::{freeze.bucket}", f"arn:aws:s3:::{freeze.bucket}/*"]
    admin = {Grant("Allow", freeze.admin, "s3:*", resource, "") for resource in resources}
    if freeze.admin and not admin <= grants({"Statement": found}):
        found.append(make_statement("RwmAdmin", "Allow", [freeze.admin], ["s3:*"], resources))
    for sid, actions, reads in ((WRITES_SID, WRITE_ACTIONS, True), (ALL_SID, ("s3:*",), False)):
        if users := [frozen.user for frozen in freeze.users if frozen.reads == reads]:
            found.append(make_statement(sid, "Deny", users, actions, resources))
    return {"Version": "2012-10-17", "Statement": found}


def without_freeze(policy: Policy | None) -> Policy | None:
    """The policy without the denies of a freeze; None if nothing else is in it.

    A statement is taken for one by its name only where it denies: that hides nothing that is allowed.
    """
    if policy is None or not frozen_users(policy):
        return policy
    kept = [each for each in statements(policy) if not _is_of_freeze(each)]
    return {**policy, "Statement": kept} if kept else None


def frozen_users(policy: Policy | None) -> list[FrozenUser]:
    """The users that the policy freezes, sorted; neither time nor note is known from it."""
    found: dict[str, FrozenUser] = {}
    for each in statements(policy):
        if _is_of_freeze(each):
            for user in principals({"Statement": [each]}):
                found[user] = FrozenUser(user, each["Sid"] == WRITES_SID and found.get(user) is None, 0, "")
    return sorted(found.values())


def named_accounts(policy: Policy | None, admin: str) -> list[str]:
    """The single accounts beside the admin that the policy names, sorted."""
    return sorted(who for who in principals(policy or {}) if _is_account(who) and who != admin)


def _is_account(principal: str) -> bool:
    return principal.startswith("arn:") and (":user/" in principal or ":role/" in principal) and "*" not in principal


def _is_of_freeze(statement: Any) -> bool:
    return (
        isinstance(statement, dict)
        and statement.get("Effect") == "Deny"
        and statement.get("Sid") in (WRITES_SID, ALL_SID)
    )


def _without_anybody(statement: Any) -> Any:
    """The statement with single accounts as its principals; None if it allows something and has none."""
    if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
        return statement
    named = {"Statement": [statement]}
    everyone = principals(named)
    accounts = sorted(who for who in everyone if _is_account(who))
    if len(accounts) == len(everyone):
        return statement
    return {**statement, "Principal": {"AWS": accounts}} if accounts and "NotPrincipal" not in statement else None
