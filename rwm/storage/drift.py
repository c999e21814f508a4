"""Drift: how a bucket's policy and settings differ from those of a protected bucket. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rwm.s3 import Policy
from rwm.storage.frozen import frozen_users, without_freeze
from rwm.storage.grants import Grant, grants
from rwm.storage.lifecycle import rule_name, touches_versions
from rwm.storage.policy import protected_policy
from rwm.storage.policy_users import policy_users
from rwm.storage.principals import admin_principal, expected_admin
from rwm.storage.users import overlaps


class Drift(NamedTuple):
    """One difference from a protected bucket. ``code`` is for scripts, ``detail`` for people."""

    code: str
    detail: str


def policy_drift(actual: Policy | None, bucket: str, owner_id: str) -> list[Drift]:
    """How the policy differs from :func:`protected_policy` for the users that it names beside the admin."""
    if actual is None:
        return [Drift("policy-missing", "the bucket has no policy: its user has no protected access")]
    found = [
        Drift(
            "frozen",
            f"{each.user} may {'write nothing' if each.reads else 'do nothing'} until rwm storage thaw",
        )
        for each in frozen_users(actual)
    ]
    actual = without_freeze(actual) or {}
    if not owner_id:
        found.append(Drift("ownership", "the owner of the bucket is unknown: its admin cannot be verified"))
    admin = admin_principal(actual, owner_id) or expected_admin(actual, owner_id)
    actual_grants = grants(actual)
    users = policy_users(actual, bucket, owner_id)
    if not users:
        extra = actual_grants - {grant for grant in actual_grants if grant.principal == admin}
        no_user = Drift("policy-no-user", "the policy names no user account beside the admin")
        return [*found, no_user, *_group_actions("policy-extra-statement", "not intended", extra)]
    expected = grants(protected_policy(bucket, admin, users))
    found += _group_actions("policy-missing-statement", "missing", expected - actual_grants)
    found += _group_actions("policy-extra-statement", "not intended", actual_grants - expected)
    return found + [
        Drift("policy-overlap", f"{one} and {other} reach the same objects") for one, other in overlaps(users)
    ]


def _group_actions(code: str, word: str, found: set[Grant]) -> list[Drift]:
    """One drift for all actions with the same effect, principal, resource and condition."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for grant in sorted(found):
        groups.setdefault((grant.effect, grant.principal, grant.resource, grant.condition), []).append(grant.action)
    return [
        Drift(code, f"{word}: {Grant(effect, principal, ', '.join(actions), resource, condition)}")
        for (effect, principal, resource, condition), actions in groups.items()
    ]


def settings_drift(
    *,
    versioning: str,
    owner: str,
    user_ids: Iterable[str],
    bucket_grants: Iterable[tuple[str, str]],
    lifecycle: Iterable[dict[str, Any]],
) -> list[Drift]:
    """How the settings other than the policy differ from those of a protected bucket.

    ``owner`` and the grantees are ids as in ACLs; ``user_ids`` are the ids of the policy's users.
    """
    found = []
    if versioning != "Enabled":
        found.append(Drift("versioning", f"versioning is {versioning or 'off'}: overwritten objects are lost"))
    if owner in set(user_ids):
        found.append(Drift("ownership", f"the bucket belongs to its user {owner}, who can undo every protection"))
    for grantee, permission in bucket_grants:
        if grantee != owner:
            found.append(Drift("acl", f"the bucket's ACL grants {permission} to {grantee}"))
    return found + [
        Drift("lifecycle", f"the lifecycle rule {rule_name(rule)!r} may delete versions that a state needs")
        for rule in lifecycle
        if touches_versions(rule)
    ]
