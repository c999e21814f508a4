"""Repair the drift of a protected bucket: plan from its settings, apply, check again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from rwm.errors import AccessDenied, Refused
from rwm.s3 import S3, Policy
from rwm.storage.change import differing_statements
from rwm.storage.check import WRONG_KEYS
from rwm.storage.frozen import frozen_users
from rwm.storage.grants import grants, same_policy
from rwm.storage.lifecycle import disabled, rule_name, touches_versions
from rwm.storage.policy import protected_policy
from rwm.storage.policy_users import policy_users
from rwm.storage.policy_write import replace_policy
from rwm.storage.principals import admin_principal, expected_admin
from rwm.storage.users import UserAccess, overlaps


class FixStep(NamedTuple):
    """One change of a setting. ``detail`` says what changes, for people."""

    setting: str
    detail: str
    apply: Callable[[], None]


def plan_fix(s3: S3, bucket: str) -> list[FixStep]:
    """What makes the bucket a protected one for the users that its policy names; empty if nothing has to change.

    Raises Refused where the policy leaves open what is meant: it names no user or no admin, or two users reach the same
    objects; for a frozen bucket, and for one of another account.
    """
    return plan_repair(s3, bucket, partial(_fix_policy, s3, bucket))


def plan_repair(s3: S3, bucket: str, plan_policy: Callable[[Policy | None, str], list[FixStep]]) -> list[FixStep]:
    """What makes the bucket a protected one; ``plan_policy`` gets the policy and the owner, and plans the change of it.

    Raises Refused for a bucket of another account, and what ``plan_policy`` raises.
    """
    owner, granted = own_acl(s3, bucket)
    policy, rules = s3.policy(bucket), s3.lifecycle_rules(bucket)
    steps = []
    if (versioning := s3.versioning(bucket)) != "Enabled":
        detail = f"versioning: {versioning or 'off'} -> Enabled"
        steps.append(FixStep("versioning", detail, lambda: s3.enable_versioning(bucket)))
    steps += plan_policy(policy, owner)
    for grantee, permission in granted:
        if grantee != owner:
            detail = f"ACL of the bucket: - {permission} to {grantee}"
            steps.append(FixStep("acl", detail, lambda: s3.make_private(bucket)))
    kept = disabled(rules, touches_versions)
    for rule in rules:
        if touches_versions(rule):
            detail = f"lifecycle rule {rule_name(rule)}: Enabled -> Disabled"
            steps.append(FixStep("lifecycle", detail, lambda: s3.put_lifecycle_rules(bucket, kept)))
    return steps


def own_acl(s3: S3, bucket: str) -> tuple[str, list[tuple[str, str]]]:
    """The owner of a bucket of this account, and the grants of its ACL. Raises Refused for another account's."""
    account = s3.owner_id()
    try:
        owner, granted = s3.acl(bucket)
    except AccessDenied as error:
        if error.code in WRONG_KEYS:
            raise
        owner, granted = "", []
    if owner != account:
        raise Refused(
            f"bucket {bucket} belongs to {owner or 'another account'}, not to this one ({account})",
            hint="an owner can undo every protection: copy the data to a bucket of the admin's account, or on Ceph "
            f"give it the bucket: `radosgw-admin bucket link --bucket={bucket} --uid={account}`",
        )
    return owner, granted


def apply_fix(steps: list[FixStep]) -> None:
    """Apply the plan, each setting once. Errors as of the setting's write."""
    done = set()
    for step in steps:
        if step.setting not in done:
            step.apply()
            done.add(step.setting)


def _fix_policy(s3: S3, bucket: str, policy: Policy | None, owner: str) -> list[FixStep]:
    users = _users(policy, bucket, owner)
    assert policy is not None
    admin = admin_principal(policy, owner) or expected_admin(policy, owner)
    if not admin.startswith("arn:"):
        raise Refused(f"the policy of bucket {bucket} does not name its admin", hint="the owner's account is not known")
    wanted = protected_policy(bucket, admin, users)
    if same_policy(policy, wanted):
        return []

    def replace() -> None:
        replace_policy(s3, bucket, policy, wanted)

    removed, added = differing_statements(policy, wanted)
    changes = [f"- {name_statement(each)}" for each in removed] + [f"+ {name_statement(each)}" for each in added]
    return [FixStep("policy", f"policy: {change}", replace) for change in changes]


def name_statement(statement: object) -> str:
    """A statement in a line: its name and what it grants or denies."""
    found = sorted(grants({"Statement": [statement]}))
    name = statement.get("Sid") if isinstance(statement, dict) else None
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{name or 'statement'}: {found[0]}{more}" if found else str(name)


def check_not_frozen(policy: Policy | None, bucket: str) -> None:
    """Raise Refused for a frozen bucket."""
    if frozen_users(policy):
        raise Refused(f"bucket {bucket} is frozen", hint=f"`rwm storage thaw {bucket}` first")


def _users(policy: Policy | None, bucket: str, owner: str) -> list[UserAccess]:
    """Who the policy is for. Raises Refused if that is not certain."""
    users = policy_users(policy, bucket, owner)
    if not users:
        raise Refused(
            f"the policy of bucket {bucket} names no machine, so the policy that it should have is not known",
            hint=f"`rwm storage adopt {bucket} USER` makes it a protected bucket",
        )
    check_not_frozen(policy, bucket)
    for one, other in overlaps(users):
        raise Refused(
            f"{one} and {other} reach the same objects",
            hint=f"`rwm storage revoke {bucket} USER` takes the access of one of them",
        )
    return users
